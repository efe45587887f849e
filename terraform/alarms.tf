# Each alarm's description names its section in docs/operations.md, which says what it means and what to do.

resource "aws_sns_topic" "alarms" {
  name              = "${local.name}-alarms"
  kms_master_key_id = aws_kms_key.this.arn
}

resource "aws_sns_topic_subscription" "alarms" {
  for_each  = toset(var.alarm_emails)
  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = each.key
}

resource "aws_sns_topic_policy" "alarms" {
  arn = aws_sns_topic.alarms.arn

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "Alarms"
        Effect    = "Allow"
        Principal = { Service = "cloudwatch.amazonaws.com" }
        Action    = "sns:Publish"
        Resource  = aws_sns_topic.alarms.arn
        Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
      },
      {
        # No condition: AWS documents none that EventBridge satisfies for a topic.
        Sid       = "Events"
        Effect    = "Allow"
        Principal = { Service = "events.amazonaws.com" }
        Action    = "sns:Publish"
        Resource  = aws_sns_topic.alarms.arn
      },
    ]
  })
}

# More than one response in a hundred is a server error. ECS rolls back a deployment during which this alarm fires.
resource "aws_cloudwatch_metric_alarm" "errors" {
  alarm_name          = "${local.name}-errors"
  alarm_description   = "More than 1 % of the responses are 5xx: docs/operations.md, errors"
  comparison_operator = "GreaterThanThreshold"
  threshold           = 1
  evaluation_periods  = 3
  datapoints_to_alarm = 2
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]

  metric_query {
    id          = "percent"
    label       = "5xx responses, percent of all"
    expression  = "100 * (FILL(target, 0) + FILL(balancer, 0)) / requests"
    return_data = true
  }

  dynamic "metric_query" {
    for_each = {
      target   = "HTTPCode_Target_5XX_Count"
      balancer = "HTTPCode_ELB_5XX_Count"
      requests = "RequestCount"
    }

    content {
      id = metric_query.key

      metric {
        namespace   = "AWS/ApplicationELB"
        metric_name = metric_query.value
        dimensions  = { LoadBalancer = aws_lb.this.arn_suffix }
        stat        = "Sum"
        period      = 60
      }
    }
  }
}

locals {
  load_balancer = { LoadBalancer = aws_lb.this.arn_suffix }
  targets       = { LoadBalancer = aws_lb.this.arn_suffix, TargetGroup = aws_lb_target_group.this.arn_suffix }
  service       = { ClusterName = aws_ecs_cluster.this.name, ServiceName = local.name }
  database      = { DBInstanceIdentifier = local.name }

  # One metric against one threshold, for `minutes` consecutive minutes. `gap` says how a minute without data counts.
  alarms = {
    latency = {
      description = "The p99 latency exceeds ${var.latency_alarm_seconds} s"
      namespace   = "AWS/ApplicationELB", metric = "TargetResponseTime", dimensions = local.load_balancer
      statistic   = "p99", operator = "GreaterThanThreshold", threshold = var.latency_alarm_seconds
      minutes     = 5, gap = "notBreaching"
    }
    unhealthy-targets = {
      description = "A task does not answer /ready with 200"
      namespace   = "AWS/ApplicationELB", metric = "UnHealthyHostCount", dimensions = local.targets
      statistic   = "Maximum", operator = "GreaterThanThreshold", threshold = 0
      minutes     = 3, gap = "notBreaching"
    }
    too-few-targets = {
      description = "Fewer than ${var.tasks_min} tasks serve requests"
      namespace   = "AWS/ApplicationELB", metric = "HealthyHostCount", dimensions = local.targets
      statistic   = "Minimum", operator = "LessThanThreshold", threshold = var.tasks_min
      minutes     = 3, gap = "breaching"
    }
    task-cpu = {
      description = "The tasks' processors are saturated, and autoscaling does not keep up"
      namespace   = "AWS/ECS", metric = "CPUUtilization", dimensions = local.service
      statistic   = "Average", operator = "GreaterThanThreshold", threshold = 85
      minutes     = 10, gap = "notBreaching"
    }
    task-memory = {
      description = "The tasks are close to their memory limit, at which they are killed"
      namespace   = "AWS/ECS", metric = "MemoryUtilization", dimensions = local.service
      statistic   = "Maximum", operator = "GreaterThanThreshold", threshold = 85
      minutes     = 5, gap = "notBreaching"
    }
    database-cpu = {
      description = "The database's processor is saturated"
      namespace   = "AWS/RDS", metric = "CPUUtilization", dimensions = local.database
      statistic   = "Average", operator = "GreaterThanThreshold", threshold = 80
      minutes     = 10, gap = "breaching"
    }
    database-storage = {
      description = "The database has less than 5 GiB of free storage"
      namespace   = "AWS/RDS", metric = "FreeStorageSpace", dimensions = local.database
      statistic   = "Minimum", operator = "LessThanThreshold", threshold = 5 * pow(1024, 3)
      minutes     = 5, gap = "breaching"
    }
    database-memory = {
      description = "The database has less than 128 MiB of free memory"
      namespace   = "AWS/RDS", metric = "FreeableMemory", dimensions = local.database
      statistic   = "Minimum", operator = "LessThanThreshold", threshold = 128 * pow(1024, 2)
      minutes     = 10, gap = "breaching"
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "metric" {
  for_each            = local.alarms
  alarm_name          = "${local.name}-${each.key}"
  alarm_description   = "${each.value.description}: docs/operations.md, ${each.key}"
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = startswith(each.value.statistic, "p") ? null : each.value.statistic
  extended_statistic  = startswith(each.value.statistic, "p") ? each.value.statistic : null
  comparison_operator = each.value.operator
  threshold           = each.value.threshold
  period              = 60
  evaluation_periods  = each.value.minutes
  treat_missing_data  = each.value.gap
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

# ECS reports a failed deployment as an event, not as a metric.
resource "aws_cloudwatch_event_rule" "deployment_failed" {
  name        = "${local.name}-deployment-failed"
  description = "A deployment failed and is rolled back: docs/operations.md, deployment-failed"

  event_pattern = jsonencode({
    source      = ["aws.ecs"]
    detail-type = ["ECS Deployment State Change"]
    resources   = ["${local.arn.ecs}:service/${local.name}/${local.name}"]
    detail      = { eventName = ["SERVICE_DEPLOYMENT_FAILED"] }
  })
}

resource "aws_cloudwatch_event_target" "deployment_failed" {
  rule = aws_cloudwatch_event_rule.deployment_failed.name
  arn  = aws_sns_topic.alarms.arn
}
