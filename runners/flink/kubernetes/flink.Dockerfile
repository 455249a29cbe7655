# Flink with the job's jar. What is copied is made before, into build/images: see README.md beside this file.
#   docker build -f runners/flink/kubernetes/flink.Dockerfile -t beam-rtls-flink:0.1.0 build/images
FROM flink:1.19.3-java17

# A file system for checkpoints, where they go to one: flink-s3-fs-presto, flink-gs-fs-hadoop, flink-azure-fs-hadoop.
# It is put in place here, for the running container cannot write to its root.
ARG FILESYSTEM_PLUGIN=""
RUN if [ -n "$FILESYSTEM_PLUGIN" ]; then \
      mkdir "$FLINK_HOME/plugins/$FILESYSTEM_PLUGIN" \
      && cp "$FLINK_HOME/opt/$FILESYSTEM_PLUGIN-$FLINK_VERSION.jar" "$FLINK_HOME/plugins/$FILESYSTEM_PLUGIN/"; \
    fi

COPY --chmod=444 job.jar /opt/flink/usrlib/job.jar

# The image's user flink, by its number: Kubernetes does not trust a name to be somebody else than root.
USER 9999:9999
