using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Models;

namespace RbeMl.Training;

/// <summary>
/// Places of most gradient. The model is given a delta of all coefficients, zeros, whose gradients are taken batch by batch: they are those
/// of the weights themselves. Needs memory for these, which is counted before any is taken.
/// </summary>
internal static class GradientPlaces
{
    /// <summary>The places of each chosen matrix, by name; the same for any number of threads.</summary>
    public static Dictionary<string, CoefficientSupport> Choose(TransformerWeights weights, HashSet<string> chosen, DeltaOptions options,
        DeltaCalibration calibration)
    {
        Dictionary<string, RbeMatrix> matrices = [];
        using TransformerModel<float> probe = new(weights.WithMatrices(Probe));
        TrainerOptions training = new()
        {
            Steps = options.CalibrationSteps,
            BatchSize = calibration.BatchSize,
            Context = calibration.Context,
            Optimizer = new SgdOptions { Momentum = 0 },
            MemoryLimit = calibration.MemoryLimit,
            Groups = DeltaModel.GroupsOf(matrices.Keys.Select(name => $"{name}.coefficients")),
            ExtraBytes = matrices.Values.Sum(matrix => (long)matrix.TileCount * matrix.Tile * matrix.Tile * sizeof(float)),
        };
        using Trainer trainer = new(probe, calibration.Source, null, training, calibration.Threads);
        Dictionary<string, float[]> squares = matrices.ToDictionary(matrix => matrix.Key, matrix => new float[matrix.Value.Coefficients.Length]);
        for (int step = 0; step < options.CalibrationSteps; step++)
        {
            trainer.LookAtGradients(step, gradients => Add(gradients, squares), calibration.Cancel);
        }

        return matrices.ToDictionary(matrix => matrix.Key, matrix => Best(matrix.Value, squares[matrix.Key], options));

        RbeMatrix Probe(string name, RbeMatrix matrix)
        {
            if (!chosen.Contains(name)) return matrix;
            _ = DeltaModel.PlanOf(matrix, options, 0); // fails before any work
            int runs = matrix.Tile * matrix.Tile / DeltaOptions.RunLength;
            ushort[] starts = SupportSelector.AllowedStarts(matrix.Tile, DeltaOptions.RunLength, reserveBasisPlaces: false);
            ushort[] all = new ushort[matrix.TileCount * runs];
            for (int t = 0; t < matrix.TileCount; t++) starts.CopyTo(all, t * runs);
            return matrices[name] =
                DeltaModel.WithDelta(name, matrix, options, new CoefficientSupport(matrix.Tile, matrix.TileCount, DeltaOptions.RunLength, all));
        }
    }

    private static void Add(ParameterVector<float> gradients, Dictionary<string, float[]> squares)
    {
        foreach ((string name, float[] sums) in squares)
        {
            ReadOnlySpan<float> g = gradients.Of(gradients.Find($"{name}.coefficients"));
            for (int i = 0; i < sums.Length; i++) sums[i] += g[i] * g[i];
        }
    }

    private static CoefficientSupport Best(RbeMatrix all, float[] squares, DeltaOptions options)
    {
        FormatPlan plan = DeltaModel.PlanOf(all, options, 0);
        int area = all.Tile * all.Tile;
        ushort[] allowed = SupportSelector.Candidates(plan, all.Tile), starts = new ushort[all.TileCount * plan.Runs];
        double[] image = new double[area], energies = new double[allowed.Length], scratch = new double[allowed.Length];
        for (int t = 0; t < all.TileCount; t++)
        {
            for (int e = 0; e < area; e++) image[all.Support!.PositionOf(t, e)] = Math.Sqrt(squares[(t * area) + e]);
            SupportSelector.ByEnergy(image, all.Tile, plan.RunLength, allowed, energies, scratch, starts.AsSpan(t * plan.Runs, plan.Runs));
        }

        return new CoefficientSupport(all.Tile, all.TileCount, plan.RunLength, starts);
    }
}
