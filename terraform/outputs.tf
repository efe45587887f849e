output "load_balancer_name" {
  description = "The DNS name of the load balancer. Point the public name to it with an alias or CNAME record."
  value       = aws_lb.this.dns_name
}

output "load_balancer_zone_id" {
  description = "The hosted zone ID of the load balancer, for an alias record in Route 53."
  value       = aws_lb.this.zone_id
}

output "repository_url" {
  description = "The URL of the image repository."
  value       = aws_ecr_repository.this.repository_url
}

output "cluster_name" {
  description = "The name of the ECS cluster."
  value       = aws_ecs_cluster.this.name
}

output "service_name" {
  description = "The name of the ECS service."
  value       = aws_ecs_service.this.name
}

output "task_definition_arn" {
  description = "The ARN of the task definition that this configuration created and that the service should run."
  value       = aws_ecs_task_definition.this.arn
}

output "image_digest" {
  description = "The digest of the image that the service should run."
  value       = var.image_digest
}

output "log_group_name" {
  description = "The name of the host's log group."
  value       = aws_cloudwatch_log_group.host.name
}

output "pipeline_role_arn" {
  description = "The ARN of the role that the workflows assume. Set it as the variable AWS_ROLE_ARN of the GitHub environment."
  value       = aws_iam_role.pipeline.arn
}

output "database_address" {
  description = "The host name of the database within the VPC."
  value       = aws_db_instance.this.address
}
