# Access control: network, encryption, permissions of roles, alarms.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  image_digest      = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
  database_password = "0123456789abcdef0123456789abcdef"
}

run "network" {
  # `apply`, because only IDs that AWS assigns distinguish one group or table from another.
  command = apply

  assert {
    condition     = !aws_lb.this.internal && !aws_ecs_service.this.network_configuration[0].assign_public_ip && !aws_db_instance.this.publicly_accessible
    error_message = "Only the load balancer may be public."
  }

  assert {
    condition = alltrue([
      for subnet in concat(values(aws_subnet.public), values(aws_subnet.private), values(aws_subnet.database)) :
      subnet.map_public_ip_on_launch != true
    ])
    error_message = "No subnet may assign public addresses."
  }

  assert {
    condition     = toset(aws_ecs_service.this.network_configuration[0].subnets) == toset([for subnet in aws_subnet.private : subnet.id])
    error_message = "Tasks must run in the private subnets."
  }

  assert {
    condition     = toset(aws_db_subnet_group.this.subnet_ids) == toset([for subnet in aws_subnet.database : subnet.id])
    error_message = "The database must be in its own subnets."
  }

  assert {
    condition = (
      aws_route.internet.route_table_id == aws_route_table.public.id &&
      alltrue([for association in aws_route_table_association.private : association.route_table_id != aws_route_table.public.id]) &&
      alltrue([for association in aws_route_table_association.database : association.route_table_id != aws_route_table.public.id])
    )
    error_message = "Only public subnets may have a route to the internet."
  }

  assert {
    condition = alltrue([
      for rule in [
        aws_vpc_security_group_ingress_rule.tasks_alb,
        aws_vpc_security_group_ingress_rule.endpoints_tasks,
        aws_vpc_security_group_ingress_rule.database_tasks,
        aws_vpc_security_group_egress_rule.alb_tasks,
        aws_vpc_security_group_egress_rule.tasks_database,
        aws_vpc_security_group_egress_rule.tasks_endpoints,
      ] : rule.cidr_ipv4 == null && rule.cidr_ipv6 == null && rule.referenced_security_group_id != null && rule.from_port == rule.to_port
    ])
    error_message = "Behind the load balancer, rules must name a group and one port, and no addresses."
  }

  assert {
    condition = (
      aws_vpc_security_group_ingress_rule.tasks_alb.referenced_security_group_id == aws_security_group.alb.id &&
      aws_vpc_security_group_ingress_rule.database_tasks.referenced_security_group_id == aws_security_group.tasks.id
    )
    error_message = "Only the load balancer may reach tasks, and only tasks may reach the database."
  }

  assert {
    condition = alltrue([
      for rule in concat(values(aws_vpc_security_group_ingress_rule.alb_https), values(aws_vpc_security_group_ingress_rule.alb_http)) :
      rule.security_group_id == aws_security_group.alb.id && contains(var.allowed_cidrs, rule.cidr_ipv4)
    ])
    error_message = "Only the load balancer may accept connections from outside."
  }

  assert {
    condition     = toset(keys(aws_vpc_endpoint.service)) == toset(["ecr.api", "ecr.dkr", "logs", "secretsmanager"]) && aws_vpc_endpoint.s3.vpc_endpoint_type == "Gateway"
    error_message = "Without NAT, tasks need an endpoint for each AWS service that their start uses."
  }

  assert {
    condition     = length(aws_subnet.private) >= 2 && length(aws_subnet.public) >= 2 && length(aws_subnet.database) >= 2
    error_message = "Every tier needs subnets in two zones."
  }

  assert {
    condition     = length(distinct([for subnet in concat(values(aws_subnet.public), values(aws_subnet.private), values(aws_subnet.database)) : subnet.cidr_block])) == 3 * length(var.availability_zones)
    error_message = "No two subnets may have the same address range."
  }
}

run "encryption" {
  command = apply

  assert {
    condition = (
      aws_db_instance.this.storage_encrypted && aws_db_instance.this.kms_key_id == aws_kms_key.this.arn &&
      aws_db_instance.this.performance_insights_kms_key_id == aws_kms_key.this.arn
    )
    error_message = "The database must be encrypted."
  }

  assert {
    condition     = one([for parameter in aws_db_parameter_group.this.parameter : parameter.value if parameter.name == "rds.force_ssl"]) == "1"
    error_message = "The database must refuse connections without TLS."
  }

  assert {
    condition     = aws_secretsmanager_secret.database_url.kms_key_id == aws_kms_key.this.arn && aws_sns_topic.alarms.kms_master_key_id == aws_kms_key.this.arn
    error_message = "The secret and the alarm topic must be encrypted."
  }

  assert {
    condition = alltrue([
      for group in concat(
        [aws_cloudwatch_log_group.host, aws_cloudwatch_log_group.flow, aws_cloudwatch_log_group.insights],
        values(aws_cloudwatch_log_group.database),
      ) : group.kms_key_id == aws_kms_key.this.arn && group.retention_in_days >= 30
    ])
    error_message = "Every log must be encrypted and must expire."
  }

  assert {
    condition     = aws_kms_key.this.enable_key_rotation
    error_message = "The key must be rotated."
  }

  assert {
    condition = (
      aws_ecr_repository.this.image_tag_mutability == "IMMUTABLE" &&
      one(aws_ecr_repository.this.image_scanning_configuration).scan_on_push &&
      one(aws_ecr_repository.this.encryption_configuration).encryption_type == "KMS" &&
      length(jsondecode(aws_ecr_lifecycle_policy.this.policy).rules) == 2
    )
    error_message = "Images must be immutable, scanned and encrypted, and old ones must expire."
  }

  assert {
    condition = (
      aws_s3_bucket_public_access_block.access_logs.block_public_acls && aws_s3_bucket_public_access_block.access_logs.block_public_policy &&
      aws_s3_bucket_public_access_block.access_logs.ignore_public_acls && aws_s3_bucket_public_access_block.access_logs.restrict_public_buckets
    )
    error_message = "Access logs must not be public."
  }

  assert {
    condition     = aws_db_instance.this.multi_az && aws_db_instance.this.backup_retention_period >= 7
    error_message = "The database must survive the loss of a zone and have backups."
  }

  assert {
    condition     = aws_db_instance.this.deletion_protection == var.deletion_protection && aws_db_instance.this.skip_final_snapshot == !var.deletion_protection
    error_message = "A protected database must not be deleted without a final snapshot."
  }
}

run "permissions" {
  command = apply

  # All statements of all roles in one list; each is an object with Action and Resource.
  assert {
    condition = alltrue([
      for statement in concat(
        jsondecode(aws_iam_role_policy.execution.policy).Statement,
        jsondecode(aws_iam_role_policy.pipeline.policy).Statement,
        jsondecode(aws_iam_role_policy.flow_log.policy).Statement,
      ) : alltrue([for action in flatten([statement.Action]) : !strcontains(action, "*")])
    ])
    error_message = "Policies must name every action in full, without wildcards."
  }

  assert {
    condition = alltrue(flatten([
      for statement in concat(
        jsondecode(aws_iam_role_policy.execution.policy).Statement,
        jsondecode(aws_iam_role_policy.pipeline.policy).Statement,
        jsondecode(aws_iam_role_policy.flow_log.policy).Statement,
        ) : [
        for action in flatten([statement.Action]) :
        contains(["ecr:GetAuthorizationToken", "ecs:DescribeTaskDefinition", "ecs:RegisterTaskDefinition"], action)
        if contains(flatten([statement.Resource]), "*")
      ]
    ]))
    error_message = "Only actions without resource-level permissions may have the resource \"*\"."
  }

  assert {
    condition = alltrue([
      for statement in jsondecode(aws_iam_role_policy.pipeline.policy).Statement :
      statement.Condition.StringEquals["iam:PassedToService"] == "ecs-tasks.amazonaws.com" && length(statement.Resource) == 2
      if contains(flatten([statement.Action]), "iam:PassRole")
    ])
    error_message = "The pipeline may pass only the tasks' two roles, and only to ECS tasks."
  }

  assert {
    condition = alltrue([
      for statement in jsondecode(aws_iam_role_policy.pipeline.policy).Statement :
      alltrue([for action in flatten([statement.Action]) : !startswith(action, "secretsmanager:") && !startswith(action, "rds:")])
    ])
    error_message = "The pipeline must have no access to the database or its password."
  }

  assert {
    condition = (
      jsondecode(aws_iam_role.pipeline.assume_role_policy).Statement[0].Action == "sts:AssumeRoleWithWebIdentity" &&
      jsondecode(aws_iam_role.pipeline.assume_role_policy).Statement[0].Condition.StringEquals["token.actions.githubusercontent.com:aud"] == "sts.amazonaws.com" &&
      toset(jsondecode(aws_iam_role.pipeline.assume_role_policy).Statement[0].Condition.StringEquals["token.actions.githubusercontent.com:sub"]) == toset(var.github_subjects)
    )
    error_message = "Only the named workflows may deploy."
  }

  assert {
    condition = alltrue([
      for role in [aws_iam_role.execution, aws_iam_role.task, aws_iam_role.flow_log, aws_iam_role.database_monitoring] :
      jsondecode(role.assume_role_policy).Statement[0].Condition.StringEquals["aws:SourceAccount"] == "111122223333"
    ])
    error_message = "AWS services may assume these roles for this account only."
  }
}

run "own_identity_provider" {
  command = apply

  assert {
    condition     = length(aws_iam_openid_connect_provider.github) == 1
    error_message = "Without a given identity provider, the configuration must create one."
  }
}

run "given_identity_provider" {
  command = apply

  variables {
    github_oidc_provider_arn = "arn:aws:iam::444455556666:oidc-provider/token.actions.githubusercontent.com"
  }

  assert {
    condition = (
      length(aws_iam_openid_connect_provider.github) == 0 &&
      jsondecode(aws_iam_role.pipeline.assume_role_policy).Statement[0].Principal.Federated == var.github_oidc_provider_arn
    )
    error_message = "The account's own identity provider must be used if it is given."
  }
}

run "alarms" {
  command = apply

  assert {
    condition = toset(keys(aws_cloudwatch_metric_alarm.metric)) == toset([
      "latency", "unhealthy-targets", "too-few-targets", "task-cpu", "task-memory",
      "database-cpu", "database-storage", "database-memory",
    ])
    error_message = "All of these alarms must exist."
  }

  assert {
    condition = alltrue([
      for alarm in concat([aws_cloudwatch_metric_alarm.errors], values(aws_cloudwatch_metric_alarm.metric)) :
      alarm.alarm_actions == toset([aws_sns_topic.alarms.arn]) && strcontains(alarm.alarm_description, "docs/operations.md")
    ])
    error_message = "Every alarm must notify the topic, and its description must name the runbook."
  }

  assert {
    condition = alltrue([
      for name in concat(["errors", "deployment-failed"], keys(aws_cloudwatch_metric_alarm.metric)) :
      strcontains(file("../docs/operations.md"), "\n### ${name}\n")
    ])
    error_message = "docs/operations.md must have a section for every alarm."
  }

  assert {
    condition = (
      jsondecode(aws_cloudwatch_event_rule.deployment_failed.event_pattern).detail.eventName == ["SERVICE_DEPLOYMENT_FAILED"] &&
      aws_cloudwatch_event_target.deployment_failed.arn == aws_sns_topic.alarms.arn &&
      length(aws_sns_topic_subscription.alarms) == length(var.alarm_emails)
    )
    error_message = "A failed deployment must notify the alarm addresses."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.metric["too-few-targets"].threshold == 2 && aws_cloudwatch_metric_alarm.metric["too-few-targets"].treat_missing_data == "breaching"
    error_message = "Missing data must count as too few tasks."
  }
}
