package rtls;

import java.lang.reflect.Field;

/** What Beam and Flink keep to themselves, and has to be otherwise here. */
final class Private {
  private Private() {}

  static Field field(Class<?> owner, String name) throws NoSuchFieldException {
    Field field = owner.getDeclaredField(name);
    field.setAccessible(true);
    return field;
  }
}
