resource "aws_cloudwatch_log_group" "host" {
  # checkov:skip=CKV_AWS_338: the access log identifies callers, so it is kept only for as long as it is useful, not for a year
  name              = "/orders/${var.environment}/host"
  retention_in_days = var.log_retention_days
  kms_key_id        = aws_kms_key.this.arn
}

resource "aws_cloudwatch_log_group" "flow" {
  # checkov:skip=CKV_AWS_338: as above
  name              = "/orders/${var.environment}/flow"
  retention_in_days = var.log_retention_days
  kms_key_id        = aws_kms_key.this.arn
}

# Created here so that the logs of RDS are encrypted with the key of this configuration and expire.
resource "aws_cloudwatch_log_group" "database" {
  # checkov:skip=CKV_AWS_338: as above
  for_each          = toset(["postgresql", "upgrade"])
  name              = "/aws/rds/instance/${local.name}/${each.key}"
  retention_in_days = var.log_retention_days
  kms_key_id        = aws_kms_key.this.arn
}

resource "aws_cloudwatch_log_group" "insights" {
  # checkov:skip=CKV_AWS_338: as above
  name              = "/aws/ecs/containerinsights/${local.name}/performance"
  retention_in_days = 30
  kms_key_id        = aws_kms_key.this.arn
}
