output "url" {
  description = "Prometheus URL of the function; requests are signed (SigV4, service lambda)."
  value       = aws_lambda_function_url.this.function_url
}

output "function_name" {
  description = "Name of the function."
  value       = aws_lambda_function.this.function_name
}

output "scratch_bucket" {
  description = "Bucket of long answers; null where answers are streamed."
  value       = one(aws_s3_bucket.scratch[*].bucket)
}
