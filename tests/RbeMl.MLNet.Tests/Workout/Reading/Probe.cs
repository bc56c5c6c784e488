using System.Reflection;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace RbeMl.MLNet.Tests.Workout;

/// <summary>What a destination holds before a getter fills it.</summary>
public enum Litter
{
    /// <summary>A new, empty destination.</summary>
    None,

    /// <summary>What the last call left there.</summary>
    LastCall,

    /// <summary>A dense vector with more slots than the value.</summary>
    LongDense,

    /// <summary>A dense vector with fewer slots than the value.</summary>
    ShortDense,

    /// <summary>A sparse vector of another length.</summary>
    Sparse,
}

/// <summary>Calls one getter of one column of any type.</summary>
public abstract class Probe
{
    /// <summary>Reads into a destination prepared as told.</summary>
    public abstract Cell Read(Litter litter = Litter.None);

    /// <summary>What the last destination holds now.</summary>
    public abstract Cell Held();

    /// <summary>Overwrites every slot of the last destination, as its owner may.</summary>
    public abstract void Garble();

    /// <summary>A probe on a column of a row, which must be active.</summary>
    public static Probe Of(DataViewRow row, DataViewSchema.Column column) => Make(column.Type, row, column);

    /// <summary>A probe on an annotation.</summary>
    public static Probe Of(DataViewSchema.Annotations annotations, DataViewSchema.Column column) => Make(column.Type, annotations, column);

    /// <summary>Asks a row for a getter of the given raw type.</summary>
    public static Delegate Getter(DataViewRow row, DataViewSchema.Column column, Type raw) =>
        (Delegate)Generic(typeof(Probe), nameof(GetterOf), raw).Invoke(null, BindingFlags.DoNotWrapExceptions, null, [row, column], null)!;

    private static Delegate GetterOf<T>(object source, DataViewSchema.Column column) => source switch
    {
        DataViewRow row => row.GetGetter<T>(column),
        DataViewSchema.Annotations annotations => annotations.GetGetter<T>(column),
        _ => throw new ArgumentException($"no getters in {source.GetType()}", nameof(source)),
    };

    private static MethodInfo Generic(Type owner, string name, Type argument) =>
        owner.GetMethod(name, BindingFlags.Static | BindingFlags.NonPublic)!.MakeGenericMethod(argument);

    private static Probe Make(DataViewType type, object source, DataViewSchema.Column column)
    {
        (string maker, Type item) = type is VectorDataViewType vector
            ? (nameof(MakeVector), vector.ItemType.RawType)
            : (nameof(MakeScalar), type.RawType);
        return (Probe)Generic(typeof(Probe), maker, item).Invoke(null, BindingFlags.DoNotWrapExceptions, null, [source, column], null)!;
    }

    private static Probe MakeScalar<T>(object source, DataViewSchema.Column column) =>
        new ScalarProbe<T>((ValueGetter<T>)GetterOf<T>(source, column));

    private static Probe MakeVector<T>(object source, DataViewSchema.Column column) =>
        new VectorProbe<T>((ValueGetter<VBuffer<T>>)GetterOf<VBuffer<T>>(source, column));
}
