#!/usr/bin/env bash
# Runs within LocalStack once it is ready (compose.yaml): the bucket, and varve-lambda with a URL.
set -euo pipefail
awslocal s3api create-bucket --bucket varve
awslocal lambda create-function --function-name varve \
	--runtime provided.al2023 --architectures "$VARVE_ARCH" --handler bootstrap \
	--memory-size 1769 --timeout 60 \
	--role arn:aws:iam::000000000000:role/varve \
	--zip-file "fileb:///varve/varve-lambda-$VARVE_ARCH.zip" \
	--environment 'Variables={VARVE_BUCKET="s3://varve?region=us-east-1&use_path_style=true&endpoint=http://localstack:4566"}'
awslocal lambda create-function-url-config --function-name varve --auth-type NONE
