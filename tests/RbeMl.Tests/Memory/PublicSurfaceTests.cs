using System.Collections.Immutable;
using System.Reflection;
using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Training;

namespace RbeMl.Tests.Memory;

/// <summary>What callers can reach without unsafe code cannot lead the kernels out of their memory.</summary>
public sealed class PublicSurfaceTests
{
    private const BindingFlags Declared =
        BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly;

    [Fact]
    public void No_public_signature_has_a_pointer()
    {
        List<string> found = [];
        foreach (Type type in typeof(WorkerPool).Assembly.GetExportedTypes())
        {
            foreach (MethodBase method in type.GetMethods(Declared).Cast<MethodBase>().Concat(type.GetConstructors(Declared)))
            {
                if (!(method.IsPublic || method.IsFamily || method.IsFamilyOrAssembly)) continue;
                IEnumerable<Type> types = method.GetParameters().Select(p => p.ParameterType)
                    .Append(method is MethodInfo info ? info.ReturnType : typeof(void));
                if (types.Any(IsAddress)) found.Add($"{type.Name}.{method.Name}");
            }

            found.AddRange(type.GetFields(Declared).Where(f => f.IsPublic && IsAddress(f.FieldType)).Select(f => $"{type.Name}.{f.Name}"));
        }

        Assert.True(found.Count == 0, string.Join(", ", found));
    }

    /// <summary>Arrays of places and codes would be trusted as indices. An example's token ids are copied and checked whenever they are used.</summary>
    [Fact]
    public void No_public_property_hands_out_an_array_of_indices()
    {
        List<string> found = [];
        foreach (Type type in typeof(WorkerPool).Assembly.GetExportedTypes())
        {
            foreach (PropertyInfo property in type.GetProperties(Declared).Where(p => p.GetMethod is { IsPublic: true })
                .Where(_ => type != typeof(ClassifierExample) && type != typeof(SimilarityPair)))
            {
                Type value = property.PropertyType;
                if (value.IsArray && value.GetElementType() is { } element
                    && (element == typeof(ushort) || element == typeof(int) || element == typeof(long) || element == typeof(short))) found.Add(
                    $"{type.Name}.{property.Name}");
                if (value.IsGenericType && value.GetGenericTypeDefinition() == typeof(Span<>)) found.Add($"{type.Name}.{property.Name}");
            }
        }

        Assert.True(found.Count == 0, string.Join(", ", found));
    }

    [Fact]
    public void Places_and_values_are_copies()
    {
        ushort[] starts = [0, 64, 32, 128];
        CoefficientSupport support = new(32, 2, 1, starts);
        starts[0] = ushort.MaxValue;
        Assert.Equal([0, 64, 32, 128], (IEnumerable<ushort>)support.Starts);
        ushort[] places = [1, 2];
        Half[] values = [(Half)1, (Half)2];
        TileOutliers outliers = new(32, 1, 2, places, values);
        (places[0], values[0]) = (ushort.MaxValue, Half.NaN);
        Assert.Equal((1, (Half)1), (outliers.Places[0], outliers.Values[0]));
        Half[] scales = new Half[16];
        QuantizedTiles tiles = new(32, 1, 4, scales, new byte[512]);
        scales[3] = Half.NaN;
        Assert.Equal(Half.Zero, tiles.Scales[3]);
        Assert.IsType<ImmutableArray<ushort>>(support.Starts);
    }

    [Fact]
    public void Slices_of_a_vector_cannot_be_added_to_from_outside()
    {
        using ParameterVector<float> vector = new();
        vector.Add("a", ParameterKind.Bias, [1, 2]);
        vector.Freeze();
        Assert.False(vector.Slices is List<ParameterSlice>);
        Assert.True(((ICollection<ParameterSlice>)vector.Slices).IsReadOnly);
    }

    private static bool IsAddress(Type type) =>
        type.IsPointer || type.IsFunctionPointer || type == typeof(nint) || type == typeof(nuint) || (type.HasElementType && IsAddress(type.GetElementType()!));
}
