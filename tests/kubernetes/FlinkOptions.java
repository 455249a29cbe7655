import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.util.Collections;
import java.util.TreeSet;
import java.util.jar.JarEntry;
import java.util.jar.JarFile;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.CoreOptions;

/** Prints the key of every option that this Flink knows, one a line: those of its classes named ...Options. */
public final class FlinkOptions {
    public static void main(String[] arguments) throws Exception {
        var jar = CoreOptions.class.getProtectionDomain().getCodeSource().getLocation().getPath();
        var keys = new TreeSet<String>();
        try (var entries = new JarFile(jar)) {
            for (JarEntry entry : Collections.list(entries.entries())) {
                if (entry.getName().matches("org/apache/flink/.*Options[.]class")) {
                    addKeys(entry.getName(), keys);
                }
            }
        }
        keys.forEach(System.out::println);
    }

    private static void addKeys(String file, TreeSet<String> keys) throws IllegalAccessException {
        try {
            Class<?> options = Class.forName(file.replace(".class", "").replace('/', '.'));
            for (Field field : options.getFields()) {
                if (field.getType() == ConfigOption.class && Modifier.isStatic(field.getModifiers())) {
                    keys.add(((ConfigOption<?>) field.get(null)).key());
                }
            }
        } catch (ClassNotFoundException | LinkageError error) {
            // Of a part of Flink that needs what is not here.
        }
    }
}
