using Microsoft.ML;
using Microsoft.ML.Data;

namespace RbeMl.MLNet.Tests.Workout;

/// <summary>
/// Adds two normalized forms of column X, Y and Z. Its arithmetic and its files are ML.NET's own; its schemas, views, cursors and rows are its own,
/// so that each can be wrong in one way.
/// </summary>
internal sealed class FaultyEstimator(MLContext ml, Fault fault) : IEstimator<ITransformer>
{
    public const string Source = "X", First = "Y", Second = "Z";

    private int _fits;

    /// <summary>Forward passes of all transformers so far.</summary>
    public static long Forwards { get; set; }

    public ITransformer Fit(IDataView input)
    {
        bool isLax = fault is Fault.ChecksInShapeOnly or Fault.AcceptsMissingColumn;
        if (isLax && input.Schema.GetColumnOrNull(Source) is null) return ml.Transforms.CopyColumns(First, input.Schema[0].Name).Fit(input);
        CheckShape(MlNetAccess.ShapeOf(input.Schema));
        IEstimator<ITransformer> inner = ml.Transforms.NormalizeMinMax(First, Source).Append(ml.Transforms.NormalizeMeanVariance(Second, Source));
        ITransformer other = inner.Fit(ml.Data.TakeRows(input, 2));
        ITransformer own = fault == Fault.FitIsRandom && _fits++ % 2 == 1 ? other : inner.Fit(input);
        return new FaultyTransformer(own, other, fault);
    }

    public SchemaShape GetOutputSchema(SchemaShape inputSchema)
    {
        if (fault is not (Fault.ChecksInFitOnly or Fault.AcceptsMissingColumn)) CheckShape(inputSchema);
        var shape = inputSchema.ToDictionary(c => c.Name);
        shape[First] = Column(First, fault == Fault.PromisesScalar, fault == Fault.PromisesKey, fault == Fault.PromisesNoAnnotation);
        if (fault != Fault.PromisesTooLittle) shape[Second] = Column(Second);
        if (fault == Fault.PromisesTooMuch) shape["Extra"] = Column("Extra");
        return new SchemaShape(shape.Values);
    }

    private static SchemaShape.Column Column(string name, bool isScalar = false, bool isKey = false, bool isPlain = false)
    {
        SchemaShape.Column normalized = MlNetAccess.NewColumn(
            "IsNormalized", SchemaShape.Column.VectorKind.Scalar, BooleanDataViewType.Instance, false, null);
        return MlNetAccess.NewColumn(
            name,
            isScalar ? SchemaShape.Column.VectorKind.Scalar : SchemaShape.Column.VectorKind.Vector,
            isKey ? NumberDataViewType.UInt32 : NumberDataViewType.Single,
            isKey,
            isPlain ? null : new SchemaShape([normalized]));
    }

    private void CheckShape(SchemaShape shape)
    {
        if (shape.Any(c => c.Name == Source)) return;
        string name = fault == Fault.RefusesWithoutName ? "a column" : $"column '{Source}'";
        throw new ArgumentOutOfRangeException(nameof(shape), $"Could not find input {name}");
    }
}
