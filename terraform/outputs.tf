output "load_balancer_name" {
  description = "The name that the public name points to, as an alias or CNAME record."
  value       = aws_lb.this.dns_name
}

output "load_balancer_zone_id" {
  description = "The hosted zone of that name, for an alias record in Route 53."
  value       = aws_lb.this.zone_id
}

output "repository_url" {
  description = "Where images are pushed to."
  value       = aws_ecr_repository.this.repository_url
}

output "cluster_name" {
  description = "The ECS cluster."
  value       = aws_ecs_cluster.this.name
}

output "service_name" {
  description = "The ECS service."
  value       = aws_ecs_service.this.name
}

output "task_definition_arn" {
  description = "The task definition that this configuration made: the one that has to run."
  value       = aws_ecs_task_definition.this.arn
}

output "image_digest" {
  description = "The image that it runs."
  value       = var.image_digest
}

output "log_group_name" {
  description = "The log of the host."
  value       = aws_cloudwatch_log_group.host.name
}

output "pipeline_role_arn" {
  description = "The role that the workflows take on: the variable AWS_ROLE_ARN of the environment on GitHub."
  value       = aws_iam_role.pipeline.arn
}

output "database_address" {
  description = "The database's name within the VPC."
  value       = aws_db_instance.this.address
}
