package rtls;

import java.lang.reflect.Field;
import java.lang.reflect.Method;

/** What Beam and Flink keep to themselves, and has to be otherwise here. */
final class Private {
  private Private() {}

  static Field field(Class<?> owner, String name) throws NoSuchFieldException {
    Field field = owner.getDeclaredField(name);
    field.setAccessible(true);
    return field;
  }

  static Method method(Class<?> owner, String name, Class<?>... parameters) throws NoSuchMethodException {
    Method method = owner.getDeclaredMethod(name, parameters);
    method.setAccessible(true);
    return method;
  }
}
