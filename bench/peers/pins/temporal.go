github.com/temporalio/cli/cmd/temporal@v1.5.1
