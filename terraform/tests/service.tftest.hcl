# The task and the service that runs it. Like all tests here, it needs -var-file=environments/NAME.tfvars.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  image_digest      = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
  database_password = "0123456789abcdef0123456789abcdef"
}

run "task" {
  command = apply

  assert {
    condition     = length(jsondecode(aws_ecs_task_definition.this.container_definitions)) == 1
    error_message = "A task must have exactly one container."
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.this.container_definitions)[0].image == "${aws_ecr_repository.this.repository_url}@${var.image_digest}"
    error_message = "The image must be named by its digest."
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.this.container_definitions)[0].healthCheck.command == ["CMD", "/app/orders-host", "healthcheck"]
    error_message = "The health check must call the program itself: the image has no shell for CMD-SHELL."
  }

  assert {
    condition     = !strcontains(aws_ecs_task_definition.this.container_definitions, "CMD-SHELL")
    error_message = "No command may need a shell."
  }

  assert {
    condition = (
      jsondecode(aws_ecs_task_definition.this.container_definitions)[0].stopTimeout >
      sum([
        for variable in jsondecode(aws_ecs_task_definition.this.container_definitions)[0].environment :
        tonumber(trimsuffix(variable.value, "s")) if contains(["ORDERS_DRAIN_DELAY", "ORDERS_DRAIN_TIMEOUT"], variable.name)
      ])
    )
    error_message = "The stop timeout must exceed the host's drain delay plus drain timeout."
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.this.container_definitions)[0].stopTimeout <= 120
    error_message = "The stop timeout must be at most 120 s, the maximum on Fargate."
  }

  assert {
    condition = (
      jsondecode(aws_ecs_task_definition.this.container_definitions)[0].readonlyRootFilesystem &&
      !jsondecode(aws_ecs_task_definition.this.container_definitions)[0].privileged &&
      jsondecode(aws_ecs_task_definition.this.container_definitions)[0].linuxParameters.capabilities == { add = [], drop = ["ALL"] }
    )
    error_message = "The root file system must be read-only, the container unprivileged, and all capabilities dropped."
  }

  assert {
    condition     = can(regex("^[1-9][0-9]*:[1-9][0-9]*$", jsondecode(aws_ecs_task_definition.this.container_definitions)[0].user))
    error_message = "User and group must be numbers other than 0."
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.this.container_definitions)[0].secrets == [{ name = "ORDERS_STORE", valueFrom = aws_secretsmanager_secret.database_url.arn }]
    error_message = "The database URL must come from the secret."
  }

  assert {
    condition = (
      { for variable in jsondecode(aws_ecs_task_definition.this.container_definitions)[0].environment : variable.name => variable.value } ==
      {
        ORDERS_DRAIN_DELAY   = "5s"
        ORDERS_DRAIN_TIMEOUT = "30s"
        ORDERS_LISTEN        = "0.0.0.0:8080"
        ORDERS_LOG           = "info"
        ORDERS_LOG_FORMAT    = "json"
        ORDERS_STORE_WAIT    = "120s"
      }
    )
    error_message = "The environment must have exactly these variables, and no secret in plain text."
  }

  assert {
    condition = (
      jsondecode(aws_ecs_task_definition.this.container_definitions)[0].logConfiguration.logDriver == "awslogs" &&
      jsondecode(aws_ecs_task_definition.this.container_definitions)[0].logConfiguration.options["awslogs-group"] == aws_cloudwatch_log_group.host.name
    )
    error_message = "The log must go to the log group."
  }

  assert {
    condition     = one(aws_ecs_task_definition.this.runtime_platform).cpu_architecture == "X86_64" && aws_ecs_task_definition.this.skip_destroy
    error_message = "X86_64 must be the default, and old revisions must be kept for rollbacks."
  }
}

run "another_wait_for_the_database" {
  command = apply

  variables {
    store_wait_seconds = 300
  }

  assert {
    condition = contains(
      jsondecode(aws_ecs_task_definition.this.container_definitions)[0].environment,
      { name = "ORDERS_STORE_WAIT", value = "300s" }
    )
    error_message = "store_wait_seconds must be how long a task waits."
  }

  assert {
    condition     = aws_ecs_service.this.health_check_grace_period_seconds == 360
    error_message = "ECS must leave a task that waits for the database alone."
  }
}

run "arm" {
  command = apply

  variables {
    cpu_architecture = "ARM64"
  }

  assert {
    condition     = one(aws_ecs_task_definition.this.runtime_platform).cpu_architecture == "ARM64"
    error_message = "cpu_architecture must select the processor architecture."
  }
}

run "service" {
  command = apply

  assert {
    condition     = aws_ecs_service.this.deployment_minimum_healthy_percent == 100 && aws_ecs_service.this.deployment_maximum_percent == 200
    error_message = "A deployment must never reduce the number of serving tasks."
  }

  assert {
    condition     = one(aws_ecs_service.this.deployment_circuit_breaker).enable && one(aws_ecs_service.this.deployment_circuit_breaker).rollback
    error_message = "A deployment that does not become healthy must be rolled back."
  }

  assert {
    condition = (
      one(aws_ecs_service.this.alarms).enable && one(aws_ecs_service.this.alarms).rollback &&
      one(aws_ecs_service.this.alarms).alarm_names == toset([aws_cloudwatch_metric_alarm.errors.alarm_name])
    )
    error_message = "A deployment that returns errors must be rolled back."
  }

  assert {
    condition     = aws_ecs_service.this.wait_for_steady_state
    error_message = "A deployment must wait for its outcome."
  }

  assert {
    condition     = aws_ecs_service.this.desired_count >= 2 && length(distinct([for subnet in aws_subnet.private : subnet.availability_zone])) >= 2
    error_message = "At least two tasks in two zones are required."
  }

  assert {
    condition     = aws_ecs_service.this.availability_zone_rebalancing == "ENABLED" && aws_ecs_service.this.health_check_grace_period_seconds == 180
    error_message = "Tasks must be spread over the zones, and have a minute to become ready after their wait for the database."
  }

  assert {
    condition     = !aws_ecs_service.this.enable_execute_command
    error_message = "ECS Exec must be off."
  }

  assert {
    condition     = aws_appautoscaling_target.this.min_capacity >= 2 && aws_appautoscaling_target.this.max_capacity >= aws_appautoscaling_target.this.min_capacity
    error_message = "Autoscaling must keep at least two tasks."
  }

  assert {
    condition     = one(aws_appautoscaling_policy.cpu.target_tracking_scaling_policy_configuration).target_value == 60
    error_message = "Autoscaling must target 60 % CPU utilisation."
  }
}

run "load_balancer" {
  command = apply

  assert {
    condition = (
      aws_lb_listener.https.port == 443 && aws_lb_listener.https.protocol == "HTTPS" &&
      startswith(aws_lb_listener.https.ssl_policy, "ELBSecurityPolicy-TLS13-1-2-Res") &&
      aws_lb_listener.https.certificate_arn == var.certificate_arn
    )
    error_message = "Clients must use TLS 1.2 or 1.3 with forward secrecy."
  }

  assert {
    condition = (
      aws_lb_listener.http.default_action[0].type == "redirect" &&
      aws_lb_listener.http.default_action[0].redirect[0].protocol == "HTTPS"
    )
    error_message = "Plain HTTP must be redirected to HTTPS."
  }

  assert {
    condition = (
      tonumber(aws_lb_target_group.this.deregistration_delay) <= var.drain_delay_seconds + var.drain_timeout_seconds &&
      tonumber(aws_lb_target_group.this.deregistration_delay) == 30
    )
    error_message = "The deregistration delay must be 30 s and must not exceed the drain."
  }

  assert {
    condition = (
      one(aws_lb_target_group.this.health_check).path == "/ready" && one(aws_lb_target_group.this.health_check).matcher == "200" &&
      one(aws_lb_target_group.this.health_check).interval == 10 &&
      one(aws_lb_target_group.this.health_check).healthy_threshold == 2 &&
      one(aws_lb_target_group.this.health_check).unhealthy_threshold == 2
    )
    error_message = "The health check must request /ready every 10 s; two results decide."
  }

  assert {
    condition     = aws_lb_target_group.this.target_type == "ip" && aws_lb.this.idle_timeout < 75
    error_message = "Targets must be IP addresses, and the load balancer must close idle connections before the host does."
  }

  assert {
    condition     = aws_lb.this.drop_invalid_header_fields && one(aws_lb.this.access_logs).enabled
    error_message = "Invalid headers must be dropped, and access logging must be on."
  }
}
