"""What it takes to run the pipeline: a local broker, a job server, a cluster; and a look at what it does."""
