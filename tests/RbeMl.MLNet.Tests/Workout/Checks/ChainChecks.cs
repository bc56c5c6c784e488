using Microsoft.ML;
using Microsoft.ML.Data;

namespace RbeMl.MLNet.Tests.Workout;

/// <summary>The component as a link of a chain.</summary>
internal static class ChainChecks
{
    /// <summary>A cache behind it, as a view and as a checkpoint of a chain, holds the same values.</summary>
    public static void Cache(WorkoutContext c)
    {
        c.ExpectRows(ViewSnapshot.Of(c.Ml.Data.Cache(c.View())).Rows, "cached");
        ITransformer chain = new EstimatorChain<ITransformer>().Append(c.Estimator).AppendCacheCheckpoint(c.Ml).Fit(c.Valid);
        SchemaChecks.CompareSchemas(c, c.Serial.Schema, chain.GetOutputSchema(c.Valid.Schema), "alone against in a chain");
    }

    /// <summary>
    /// An ML.NET trainer or transform fits behind it and a cache checkpoint; its promise holds, and its output can be read, twice alike.
    /// </summary>
    public static void Downstream(WorkoutContext c)
    {
        if (c.Options.Downstream is not { } downstream) throw new CheckSkippedException("no Downstream given");
        EstimatorChain<ITransformer> chain = new EstimatorChain<ITransformer>().Append(c.Estimator).AppendCacheCheckpoint(c.Ml).Append(downstream);
        SchemaShape promised = chain.GetOutputSchema(MlNetAccess.ShapeOf(c.Valid.Schema));
        ITransformer model = chain.Fit(c.Valid);
        DataViewSchema delivered = model.GetOutputSchema(c.Valid.Schema);
        foreach (SchemaShape.Column column in promised)
            c.Expect(delivered.GetColumnOrNull(column.Name) is not null, "promised by the chain, not delivered", column.Name);
        ViewSnapshot first = ViewSnapshot.Of(model.Transform(c.Valid)), second = ViewSnapshot.Of(model.Transform(c.Valid));
        c.Expect(first.Rows.Count == c.Serial.Rows.Count, $"the chain gives {first.Rows.Count} rows instead of {c.Serial.Rows.Count}");
        for (int r = 0; r < first.Rows.Count; r++)
            foreach (DataViewSchema.Column column in first.Schema)
                c.ExpectSame(first[r, column], second[r, second.Schema[column.Index]], $"row {r}, transformed again", column.Name);
    }

    /// <summary>The options' hook runs without an exception.</summary>
    public static void CrossValidate(WorkoutContext c)
    {
        if (c.Options.CrossValidate is not { } hook) throw new CheckSkippedException("no CrossValidate given");
        hook(c.Estimator, c.Valid);
        c.Expect(true, "");
    }
}
