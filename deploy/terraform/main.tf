# varve-lambda: queries over a Varve bucket from AWS Lambda.
#
#   module "varve" {
#     source = "github.com/varvedb/varve//deploy/terraform"
#     bucket = "my-metrics"
#     zip    = "bin/varve-lambda-arm64.zip"
#   }

data "aws_region" "current" {}
data "aws_partition" "current" {}

locals {
  region  = data.aws_region.current.name
  objects = "arn:${data.aws_partition.current.partition}:s3:::${var.bucket}/${var.prefix}"
  scratch = var.stream ? [] : aws_s3_bucket.scratch[*]
}

resource "aws_lambda_function" "this" {
  function_name    = var.name
  description      = "Prometheus HTTP API over a Varve bucket, read only."
  filename         = var.zip
  source_code_hash = filebase64sha256(var.zip)
  handler          = "bootstrap"
  runtime          = "provided.al2023"
  architectures    = [var.architecture]
  memory_size      = var.memory
  timeout          = var.timeout
  role             = aws_iam_role.this.arn

  environment {
    variables = merge(
      {
        VARVE_BUCKET          = "s3://${var.bucket}?region=${local.region}${var.prefix == "" ? "" : "&prefix=${var.prefix}"}"
        VARVE_RESPONSE_STREAM = tostring(var.stream)
      },
      var.tenant == null ? {} : { VARVE_TENANT = var.tenant },
      { for s in local.scratch : "VARVE_SCRATCH" => "s3://${s.bucket}?region=${local.region}" },
      var.environment,
    )
  }

  logging_config {
    log_format = "Text"
    log_group  = aws_cloudwatch_log_group.this.name
  }

  depends_on = [aws_iam_role_policy.this]
}

resource "aws_lambda_function_url" "this" {
  function_name      = aws_lambda_function.this.function_name
  authorization_type = "AWS_IAM"
  invoke_mode        = var.stream ? "RESPONSE_STREAM" : "BUFFERED"
}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/aws/lambda/${var.name}"
  retention_in_days = var.log_days
}

resource "aws_iam_role" "this" {
  name_prefix = "${var.name}-"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "lambda.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy" "this" {
  name = "varve"
  role = aws_iam_role.this.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        {
          Sid      = "ReadMetrics"
          Effect   = "Allow"
          Action   = ["s3:GetObject"]
          Resource = [for p in ["w", "t", "d", "r"] : "${local.objects}${p}/*"]
        },
        {
          Sid      = "WriteLogs"
          Effect   = "Allow"
          Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
          Resource = ["${aws_cloudwatch_log_group.this.arn}:*"]
        },
      ],
      [for s in local.scratch : {
        Sid      = "SpillAnswers"
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:PutObject"]
        Resource = ["${s.arn}/results/*"]
      }],
    )
  })
}

resource "aws_s3_bucket" "scratch" {
  count         = var.stream ? 0 : 1
  bucket_prefix = "${var.name}-scratch-"
}

resource "aws_s3_bucket_public_access_block" "scratch" {
  count                   = length(aws_s3_bucket.scratch)
  bucket                  = aws_s3_bucket.scratch[count.index].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_lifecycle_configuration" "scratch" {
  count  = length(aws_s3_bucket.scratch)
  bucket = aws_s3_bucket.scratch[count.index].id

  rule {
    id     = "expire-answers"
    status = "Enabled"

    filter {
      prefix = "results/"
    }

    expiration {
      days = 1
    }
  }
}
