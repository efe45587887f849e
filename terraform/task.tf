resource "aws_ecs_task_definition" "this" {
  family                   = local.name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.task_cpu
  memory                   = var.task_memory
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.task.arn
  # Keep old revisions for rollbacks.
  skip_destroy = true

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.cpu_architecture
  }

  container_definitions = jsonencode([{
    name      = "orders"
    image     = "${aws_ecr_repository.this.repository_url}@${var.image_digest}"
    essential = true

    # The image sets the options that are the same everywhere. These depend on the environment.
    environment = [
      { name = "ORDERS_DRAIN_DELAY", value = "${var.drain_delay_seconds}s" },
      { name = "ORDERS_DRAIN_TIMEOUT", value = "${var.drain_timeout_seconds}s" },
      { name = "ORDERS_LISTEN", value = "0.0.0.0:${local.port}" },
      { name = "ORDERS_LOG", value = var.log_filter },
      { name = "ORDERS_LOG_FORMAT", value = "json" },
      { name = "ORDERS_STORE_WAIT", value = "${var.store_wait_seconds}s" },
    ]
    secrets = [
      { name = "ORDERS_STORE", valueFrom = aws_secretsmanager_secret.database_url.arn },
    ]

    portMappings = [{ containerPort = local.port, hostPort = local.port, protocol = "tcp" }]
    # CMD, not CMD-SHELL: the image has no shell. A task that waits for the database is healthy, but not ready.
    healthCheck = {
      command     = ["CMD", "/app/orders-host", "healthcheck"]
      interval    = 10
      timeout     = 5
      retries     = 3
      startPeriod = 30
    }
    # Longer than the host's drain, so that requests are not cut off.
    stopTimeout = var.stop_timeout_seconds

    user                   = "65532:65532"
    privileged             = false
    readonlyRootFilesystem = true
    linuxParameters = {
      capabilities       = { add = [], drop = ["ALL"] }
      initProcessEnabled = false
    }
    # Every connection needs a file descriptor.
    ulimits     = [{ name = "nofile", softLimit = 16384, hardLimit = 16384 }]
    mountPoints = []
    volumesFrom = []

    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.host.name
        awslogs-region        = var.region
        awslogs-stream-prefix = "host"
        # Requests do not wait for the log: lines that do not fit into the buffer are lost.
        mode            = "non-blocking"
        max-buffer-size = "25m"
      }
    }
  }])
}
