using System.Collections;
using System.Globalization;
using System.Reflection;

namespace RbeMl.Tests.Support;

/// <summary>Options that live a second time elsewhere, under other names, as words or in a file: every property arrives there.</summary>
internal static class Counterparts
{
    /// <summary>
    /// Asserts that each property of <typeparamref name="T"/>, given a value where the options live first, arrives with it where they live second, and that no
    /// other property changes by it. A new property fails this until it has a value here and a counterpart there, or stands among those without one.
    /// </summary>
    /// <param name="values">For each property a value that is not its default.</param>
    /// <param name="without">Properties that have no counterpart.</param>
    /// <param name="carry">What arrives when the property of that name alone is given the value; with null when none is.</param>
    public static void AllArrive<T>(IReadOnlyDictionary<string, object?> values, IEnumerable<string> without, Func<string?, object?, T> carry)
        where T : notnull
    {
        string[] names =
            [.. typeof(T).GetProperties(BindingFlags.Instance | BindingFlags.Public).Where(p => p.SetMethod is { IsPublic: true }).Select(p => p.Name).Order()];
        Assert.Equal(names, values.Keys.Concat(without).Order());
        Dictionary<string, string> plain = Read(carry(null, null));
        foreach ((string name, object? value) in values)
        {
            Dictionary<string, string> expected = new(plain) { [name] = Text(value) }, actual = Read(carry(name, value));
            Assert.True(expected[name] != plain[name], $"{name}: {expected[name]} is what it is without being given");
            foreach (string each in names)
            {
                Assert.True(expected[each] == actual[each], $"with {name} = {expected[name]} {each} is {actual[each]}, expected {expected[each]}");
            }
        }

        Dictionary<string, string> Read(T options) => names.ToDictionary(name => name, name => Text(typeof(T).GetProperty(name)!.GetValue(options)));
    }

    /// <summary>Sets a property of other options by its name.</summary>
    public static void Set(object options, string name, object? value)
    {
        PropertyInfo? property = options.GetType().GetProperty(name);
        Assert.True(property is not null, $"{options.GetType().Name} has no {name}");
        Type type = Nullable.GetUnderlyingType(property.PropertyType) ?? property.PropertyType;
        property.SetValue(options, value is IConvertible && !type.IsEnum ? Convert.ChangeType(value, type, CultureInfo.InvariantCulture) : value);
    }

    private static string Text(object? value) => value switch
    {
        null => "null",
        string text => $"\"{text}\"",
        IEnumerable list => $"[{string.Join(", ", list.Cast<object?>().Select(Text))}]",
        _ => Convert.ToString(value, CultureInfo.InvariantCulture)!,
    };
}
