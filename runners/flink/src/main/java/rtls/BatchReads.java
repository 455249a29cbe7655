package rtls;

import java.io.IOException;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import org.apache.beam.model.pipeline.v1.RunnerApi.Components;
import org.apache.beam.model.pipeline.v1.RunnerApi.ExecutableStagePayload;
import org.apache.beam.model.pipeline.v1.RunnerApi.FunctionSpec;
import org.apache.beam.model.pipeline.v1.RunnerApi.PTransform;
import org.apache.beam.model.pipeline.v1.RunnerApi.Pipeline;
import org.apache.beam.model.pipeline.v1.RunnerApi.ReadPayload;
import org.apache.beam.runners.flink.FlinkPipelineOptions;
import org.apache.beam.runners.flink.FlinkStreamingPortablePipelineTranslator.StreamingTranslationContext;
import org.apache.beam.runners.flink.translation.types.CoderTypeInformation;
import org.apache.beam.runners.fnexecution.translation.PipelineTranslatorUtils;
import org.apache.beam.sdk.io.UnboundedSource;
import org.apache.beam.sdk.io.kafka.KafkaCheckpointMark;
import org.apache.beam.sdk.io.kafka.KafkaRecord;
import org.apache.beam.sdk.util.construction.PTransformTranslation;
import org.apache.beam.sdk.util.construction.ReadTranslation;
import org.apache.beam.sdk.util.construction.graph.ExecutableStage;
import org.apache.beam.sdk.values.WindowedValue;
import org.apache.beam.vendor.guava.v32_1_2_jre.com.google.common.collect.Iterables;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/**
 * Has the source do what {@link RecordBatches} is there for.
 *
 * <p>Record by record, reading from Kafka takes most of what a reading costs in Java: Beam's wrapper hands over each one by
 * itself, and to come to the step that gathers them they are all coded and decoded, and made rows.
 */
final class BatchReads {
  /** What a read is called that gives what the step behind it gave. */
  static final String URN = "rtls:transform:batch_read:v1";

  private BatchReads() {}

  /** Returns the pipeline, which is fused, with each read and the Java stage behind it as one read by the batch. */
  static Pipeline shortened(Pipeline fused) throws IOException {
    Components all = fused.getComponents();
    Map<String, String> readOf = new HashMap<>();
    for (String id : fused.getRootTransformIdsList()) {
      PTransform transform = all.getTransformsOrThrow(id);
      if (transform.getSpec().getUrn().equals(PTransformTranslation.READ_TRANSFORM_URN)) {
        readOf.put(Iterables.getOnlyElement(transform.getOutputsMap().values()), id);
      }
    }
    Components.Builder components = all.toBuilder();
    Set<String> dropped = new HashSet<>();
    for (String id : fused.getRootTransformIdsList()) {
      PTransform transform = all.getTransformsOrThrow(id);
      if (!transform.getSpec().getUrn().equals(ExecutableStage.URN)) {
        continue;
      }
      ExecutableStagePayload stage = ExecutableStagePayload.parseFrom(transform.getSpec().getPayload());
      if (readOf.containsKey(stage.getInput()) && JavaStages.doFnOf(stage, RecordBatches.GatherFn.class) != null) {
        String read = readOf.remove(stage.getInput());
        components.removeTransforms(id);
        components.putTransforms(
            read, batchRead(all.getTransformsOrThrow(read), Iterables.getOnlyElement(stage.getOutputsList())));
        dropped.add(id);
      }
    }
    if (!readOf.isEmpty() || dropped.isEmpty()) {
      throw new IllegalStateException(
          dropped.size() + " reads are gathered, and not those of " + readOf.keySet() + "; has Beam fused otherwise?");
    }
    Pipeline.Builder pipeline = fused.toBuilder().setComponents(components).clearRootTransformIds();
    fused.getRootTransformIdsList().stream().filter(id -> !dropped.contains(id)).forEach(pipeline::addRootTransformIds);
    return pipeline.build();
  }

  private static PTransform batchRead(PTransform read, String output) {
    return read.toBuilder()
        .setSpec(FunctionSpec.newBuilder().setUrn(URN).setPayload(read.getSpec().getPayload()))
        .clearOutputs()
        .putOutputs("output", output)
        .build();
  }

  /** Translates such a read: Beam's translator calls this for the urn. */
  @SuppressWarnings("unchecked")
  static void translate(String id, Pipeline pipeline, StreamingTranslationContext context) {
    PTransform read = pipeline.getComponents().getTransformsOrThrow(id);
    String output = Iterables.getOnlyElement(read.getOutputsMap().values());
    FlinkPipelineOptions options = context.getPipelineOptions();
    StreamExecutionEnvironment environment = context.getExecutionEnvironment();
    // The parts stay the same where a job is resumed with another parallelism.
    int splits = environment.getMaxParallelism() > 0 ? environment.getMaxParallelism() : environment.getParallelism();
    BatchSource source;
    try {
      source =
          new BatchSource(
              read.getUniqueName(),
              options,
              (UnboundedSource<KafkaRecord<byte[], byte[]>, KafkaCheckpointMark>)
                  ReadTranslation.unboundedSourceFromProto(ReadPayload.parseFrom(read.getSpec().getPayload())),
              splits);
    } catch (Exception error) {
      throw new IllegalStateException("cannot read from " + read.getUniqueName(), error);
    }
    CoderTypeInformation<WindowedValue<byte[]>> type =
        new CoderTypeInformation<>(
            PipelineTranslatorUtils.instantiateCoder(output, pipeline.getComponents()), options);
    context.addDataStream(
        output, environment.addSource(source, read.getUniqueName(), type).uid(read.getUniqueName()));
  }
}
