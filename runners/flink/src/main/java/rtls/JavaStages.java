package rtls;

import java.io.IOException;
import org.apache.beam.model.pipeline.v1.RunnerApi.ExecutableStagePayload;
import org.apache.beam.model.pipeline.v1.RunnerApi.PTransform;
import org.apache.beam.model.pipeline.v1.RunnerApi.ParDoPayload;
import org.apache.beam.sdk.transforms.DoFn;
import org.apache.beam.sdk.util.construction.PTransformTranslation;
import org.apache.beam.sdk.util.construction.ParDoTranslation;
import org.checkerframework.checker.nullness.qual.Nullable;

/** The stages of a fused pipeline that are in Java. */
final class JavaStages {
  private JavaStages() {}

  /** Returns the function of a class that a stage runs; null where it runs none. */
  static @Nullable DoFn<?, ?> doFnOf(ExecutableStagePayload stage, Class<?> wanted) throws IOException {
    for (String id : stage.getTransformsList()) {
      PTransform transform = stage.getComponents().getTransformsOrThrow(id);
      if (!transform.getSpec().getUrn().equals(PTransformTranslation.PAR_DO_TRANSFORM_URN)) {
        continue;
      }
      ParDoPayload payload = ParDoPayload.parseFrom(transform.getSpec().getPayload());
      if (!payload.getDoFn().getUrn().equals(ParDoTranslation.CUSTOM_JAVA_DO_FN_URN)) {
        continue;
      }
      DoFn<?, ?> function = ParDoTranslation.getDoFn(payload);
      if (wanted.isInstance(function)) {
        return function;
      }
    }
    return null;
  }
}
