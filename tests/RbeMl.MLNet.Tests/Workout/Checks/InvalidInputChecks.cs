using Microsoft.ML;

namespace RbeMl.MLNet.Tests.Workout;

/// <summary>Wrong columns are refused early, and by name.</summary>
internal static class InvalidInputChecks
{
    /// <summary>Each invalid input is refused wherever its <see cref="InvalidInput.By"/> says.</summary>
    public static void Refused(WorkoutContext c)
    {
        if (c.Options.Invalid.Count == 0) throw new CheckSkippedException("no invalid inputs given");
        foreach (InvalidInput invalid in c.Options.Invalid)
        {
            DataViewSchema schema = invalid.Data.Schema;
            Expect(RefusedBy.Shape, "GetOutputSchema of the estimator", () => c.Estimator.GetOutputSchema(MlNetAccess.ShapeOf(schema)));
            Expect(RefusedBy.Fit, "Fit", () => c.Estimator.Fit(invalid.Data));
            Expect(RefusedBy.Transform, "GetOutputSchema of the transformer", () => c.Transformer.GetOutputSchema(schema));
            Expect(RefusedBy.Transform, "Transform", () => c.Transformer.Transform(invalid.Data));

            void Expect(RefusedBy by, string what, Action action)
            {
                if (invalid.By.HasFlag(by)) c.ExpectThrows<ArgumentOutOfRangeException>(action, what, invalid.Column, $"'{invalid.Column}'");
            }
        }
    }
}
