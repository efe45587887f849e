resource "aws_ecs_cluster" "this" {
  name = local.name

  setting {
    name  = "containerInsights"
    value = "enabled"
  }

  depends_on = [aws_cloudwatch_log_group.insights]
}

resource "aws_ecs_service" "this" {
  name             = local.name
  cluster          = aws_ecs_cluster.this.id
  task_definition  = aws_ecs_task_definition.this.arn
  launch_type      = "FARGATE"
  platform_version = "LATEST"
  desired_count    = var.tasks_min

  # A new task serves before an old one stops. ECS rolls back a deployment that does not become healthy or that returns
  # errors. Terraform waits for the outcome.
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  # A task that waits for the database fails the load balancer's checks meanwhile; ECS must not replace it for that. Then it
  # needs a moment to load its module and to pass two checks.
  health_check_grace_period_seconds = var.store_wait_seconds + 60
  availability_zone_rebalancing     = "ENABLED"
  wait_for_steady_state             = true

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  alarms {
    enable      = true
    rollback    = true
    alarm_names = [aws_cloudwatch_metric_alarm.errors.alarm_name]
  }

  network_configuration {
    subnets          = [for subnet in aws_subnet.private : subnet.id]
    security_groups  = [aws_security_group.tasks.id]
    assign_public_ip = false
  }

  load_balancer {
    target_group_arn = aws_lb_target_group.this.arn
    container_name   = "orders"
    container_port   = local.port
  }

  # A task reads its secrets only when it starts.
  force_new_deployment = true
  triggers             = { database_password_version = var.database_password_version }

  # The image has no shell and no writable file system, so a session could not run anything.
  enable_execute_command  = false
  enable_ecs_managed_tags = true
  propagate_tags          = "SERVICE"

  timeouts {
    create = "20m"
    update = "20m"
  }

  lifecycle {
    # Autoscaling sets the count.
    ignore_changes = [desired_count]
  }

  depends_on = [
    aws_iam_role_policy.execution,
    aws_lb_listener.https,
    aws_secretsmanager_secret_version.database_url,
    aws_vpc_endpoint.s3,
    aws_vpc_endpoint.service,
    aws_vpc_security_group_egress_rule.tasks_database,
    aws_vpc_security_group_egress_rule.tasks_endpoints,
    aws_vpc_security_group_egress_rule.tasks_s3,
    aws_vpc_security_group_ingress_rule.database_tasks,
    aws_vpc_security_group_ingress_rule.endpoints_tasks,
  ]
}
