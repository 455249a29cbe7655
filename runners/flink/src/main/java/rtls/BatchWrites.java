package rtls;

import java.io.IOException;
import java.util.HashMap;
import java.util.Map;
import org.apache.beam.model.pipeline.v1.RunnerApi.Components;
import org.apache.beam.model.pipeline.v1.RunnerApi.ExecutableStagePayload;
import org.apache.beam.model.pipeline.v1.RunnerApi.PTransform;
import org.apache.beam.model.pipeline.v1.RunnerApi.Pipeline;
import org.apache.beam.runners.flink.FlinkStreamingPortablePipelineTranslator.StreamingTranslationContext;
import org.apache.beam.sdk.io.kafka.KafkaIO;
import org.apache.beam.sdk.transforms.DoFn;
import org.apache.beam.sdk.util.construction.ExecutableStageTranslation;
import org.apache.beam.sdk.util.construction.graph.ExecutableStage;
import org.apache.beam.sdk.values.WindowedValue;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.streaming.api.datastream.DataStream;

/**
 * Has records written to Kafka where they are, in Flink's task: see {@link KafkaSink}.
 *
 * <p>As a stage of Beam's they would be handed to a harness of its own in the same process, which for each record takes
 * several times what Kafka's producer does; and the task would wait for the broker after every bundle.
 */
final class BatchWrites {
  /** What such a stage is called. */
  static final String URN = "rtls:transform:batch_write:v1";

  private BatchWrites() {}

  /** Returns the pipeline, which is fused, with each stage of {@link RecordSpread} and KafkaIO as one write by the batch. */
  static Pipeline shortened(Pipeline fused) throws IOException, ReflectiveOperationException {
    Components.Builder components = fused.getComponents().toBuilder();
    boolean none = true;
    for (String id : fused.getRootTransformIdsList()) {
      PTransform transform = components.getTransformsOrThrow(id);
      if (!transform.getSpec().getUrn().equals(ExecutableStage.URN)) {
        continue;
      }
      ExecutableStagePayload stage = ExecutableStagePayload.parseFrom(transform.getSpec().getPayload());
      if (JavaStages.doFnOf(stage, RecordSpread.SpreadFn.class) != null && writerOf(stage) != null) {
        PTransform.Builder write = transform.toBuilder();
        write.getSpecBuilder().setUrn(URN);
        components.putTransforms(id, write.build());
        none = false;
      }
    }
    if (none) {
      throw new IllegalStateException("nothing is written to Kafka; has Beam fused otherwise?");
    }
    return fused.toBuilder().setComponents(components).build();
  }

  private static DoFn<?, ?> writerOf(ExecutableStagePayload stage) throws IOException, ReflectiveOperationException {
    return JavaStages.doFnOf(stage, Class.forName("org.apache.beam.sdk.io.kafka.KafkaWriter"));
  }

  /** Translates such a write: Beam's translator calls this for the urn. */
  static void translate(String id, Pipeline pipeline, StreamingTranslationContext context) {
    PTransform write = pipeline.getComponents().getTransformsOrThrow(id);
    try {
      ExecutableStagePayload stage = ExecutableStagePayload.parseFrom(write.getSpec().getPayload());
      DataStream<WindowedValue<byte[]>> packed = context.getDataStreamOrThrow(stage.getInput());
      packed
          .transform(
              ExecutableStageTranslation.generateNameFromStagePayload(stage), Types.VOID, sinkOf(writerOf(stage)))
          .uid(write.getUniqueName());
    } catch (IOException | ReflectiveOperationException error) {
      throw new IllegalStateException("cannot write to " + write.getUniqueName(), error);
    }
  }

  private static KafkaSink sinkOf(DoFn<?, ?> writer) throws ReflectiveOperationException {
    Map<String, Object> configuration = new HashMap<>();
    ((Map<?, ?>) Private.field(writer.getClass(), "producerConfig").get(writer))
        .forEach((name, value) -> configuration.put((String) name, value));
    String topic = ((KafkaIO.WriteRecords<?, ?>) Private.field(writer.getClass(), "spec").get(writer)).getTopic();
    return new KafkaSink(topic, configuration);
  }
}
