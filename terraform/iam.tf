# Policies are written out here, and not as data, so that the tests read what AWS will.

locals {
  # What a service of AWS needs to take on a role: that it does so for this account is checked.
  assumed_by = {
    for service in ["ecs-tasks", "monitoring.rds", "vpc-flow-logs"] : service => jsonencode({
      Version = "2012-10-17"
      Statement = [{
        Effect    = "Allow"
        Principal = { Service = "${service}.amazonaws.com" }
        Action    = "sts:AssumeRole"
        Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
      }]
    })
  }
}

# Starts the tasks: fetches the image and the secret, opens the log.

resource "aws_iam_role" "execution" {
  name               = "${local.name}-execution"
  assume_role_policy = local.assumed_by["ecs-tasks"]
}

resource "aws_iam_role_policy" "execution" {
  name = "start-tasks"
  role = aws_iam_role.execution.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        # This action knows no resource.
        Sid      = "RegistryToken"
        Effect   = "Allow"
        Action   = "ecr:GetAuthorizationToken"
        Resource = "*"
      },
      {
        Sid      = "Image"
        Effect   = "Allow"
        Action   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
        Resource = aws_ecr_repository.this.arn
      },
      {
        Sid      = "Log"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = "${aws_cloudwatch_log_group.host.arn}:log-stream:*"
      },
      {
        Sid      = "Secret"
        Effect   = "Allow"
        Action   = "secretsmanager:GetSecretValue"
        Resource = aws_secretsmanager_secret.database_url.arn
      },
      {
        Sid       = "SecretKey"
        Effect    = "Allow"
        Action    = "kms:Decrypt"
        Resource  = aws_kms_key.this.arn
        Condition = { StringEquals = { "kms:ViaService" = "secretsmanager.${var.region}.amazonaws.com" } }
      },
    ]
  })
}

# What the host itself may do in AWS: nothing. It speaks to the database, and that asks for a password.

resource "aws_iam_role" "task" {
  name               = "${local.name}-task"
  assume_role_policy = local.assumed_by["ecs-tasks"]
}

# Writes what was refused in the network.

resource "aws_iam_role" "flow_log" {
  name               = "${local.name}-flow-log"
  assume_role_policy = local.assumed_by["vpc-flow-logs"]
}

resource "aws_iam_role_policy" "flow_log" {
  name = "write-log"
  role = aws_iam_role.flow_log.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
      Resource = [aws_cloudwatch_log_group.flow.arn, "${aws_cloudwatch_log_group.flow.arn}:log-stream:*"]
    }]
  })
}

# Measures the machine that the database runs on.

resource "aws_iam_role" "database_monitoring" {
  name               = "${local.name}-database-monitoring"
  assume_role_policy = local.assumed_by["monitoring.rds"]
}

resource "aws_iam_role_policy_attachment" "database_monitoring" {
  role       = aws_iam_role.database_monitoring.name
  policy_arn = "arn:${local.partition}:iam::aws:policy/service-role/AmazonRDSEnhancedMonitoringRole"
}
