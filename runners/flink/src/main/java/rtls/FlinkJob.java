package rtls;

import java.util.Map;
import java.util.UUID;
import org.apache.beam.model.pipeline.v1.RunnerApi.Pipeline;
import org.apache.beam.runners.flink.FlinkPipelineOptions;
import org.apache.beam.runners.flink.FlinkStreamingPortablePipelineTranslator;
import org.apache.beam.runners.fnexecution.provisioning.JobInfo;
import org.apache.beam.runners.jobsubmission.PortablePipelineJarUtils;
import org.apache.beam.sdk.io.FileSystems;
import org.apache.beam.sdk.metrics.MetricsEnvironment;
import org.apache.beam.sdk.options.PipelineOptionsFactory;
import org.apache.beam.sdk.options.PortablePipelineOptions;
import org.apache.beam.sdk.options.SdkHarnessOptions;
import org.apache.beam.sdk.util.construction.PipelineOptionsTranslation;
import org.apache.beam.sdk.util.construction.resources.PipelineResources;

/**
 * The entry class of the job's jar: runs the pipeline that the jar holds on the cluster that the jar is run on.
 *
 * <p>It does what Beam's FlinkPipelineRunner does in its main method (arguments it takes none), and beyond that has the
 * sources read and the sinks written by the batch, gives some stages other bundles, and each task a Python process: see
 * {@link BatchReads}, {@link BatchWrites}, {@link StageBundles} and {@link StageWorkers}.
 */
public final class FlinkJob {
  private FlinkJob() {}

  public static void main(String[] arguments) throws Exception {
    MetricsEnvironment.setMetricsSupported(false);
    FileSystems.setDefaultPipelineOptions(PipelineOptionsFactory.create());
    String name = PortablePipelineJarUtils.getDefaultJobName();
    Pipeline pipeline = PortablePipelineJarUtils.getPipelineFromClasspath(name);
    FlinkPipelineOptions options =
        PipelineOptionsTranslation.fromProto(PortablePipelineJarUtils.getPipelineOptionsFromClasspath(name))
            .as(FlinkPipelineOptions.class);
    SdkHarnessOptions.getConfiguredLoggerFromOptions(options.as(SdkHarnessOptions.class));
    int processes = StageWorkers.takeOver(options.as(PortablePipelineOptions.class));
    JobInfo job =
        JobInfo.create(
            options.getJobName() + "_" + UUID.randomUUID(),
            options.getJobName(),
            "", // a retrieval token is not used any more
            PipelineOptionsTranslation.toProto(options));
    FlinkStreamingPortablePipelineTranslator translator =
        new FlinkStreamingPortablePipelineTranslator(Map.of(
                BatchReads.URN, BatchReads::translate,
                BatchWrites.URN, BatchWrites::translate));
    FlinkStreamingPortablePipelineTranslator.StreamingTranslationContext context =
        translator.createTranslationContext(
            job,
            options,
            options.getFlinkConfDir(),
            PipelineResources.detectClassPathResourcesToStage(FlinkJob.class.getClassLoader(), options));
    // The ids of tags and anchors come again and again in what a checkpoint holds.
    context.getExecutionEnvironment().getConfig().setUseSnapshotCompression(true);
    Pipeline fused = translator.prepareForTranslation(pipeline);
    FlinkStreamingPortablePipelineTranslator.Executor executor =
        translator.translate(context, BatchWrites.shortened(BatchReads.shortened(fused)));
    StageBundles.adjust(context.getExecutionEnvironment());
    StageWorkers.deal(context.getExecutionEnvironment(), processes);
    executor.execute(options.getJobName());
  }
}
