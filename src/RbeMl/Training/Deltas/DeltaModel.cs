using RbeMl.Codec;
using RbeMl.Compression;
using RbeMl.Files;
using RbeMl.Layers;
using RbeMl.Models;

namespace RbeMl.Training;

/// <summary>
/// A model on whose frozen weights rides a trainable sparse delta, which begins at zero. What is trained is what is saved and served:
/// nothing is merged. A training that is given <see cref="Groups"/> changes what <see cref="Trained"/> names and nothing else.
/// </summary>
public sealed class DeltaModel : IDisposable
{
    internal DeltaModel(TransformerModel<float> model, BaseMark? basis, IReadOnlyList<string> trained)
    {
        Model = model;
        Base = basis;
        string[] ordered = [.. model.Parameters.Slices.Select(slice => slice.Name).Where(trained.Contains)];
        Trained = [.. ordered, .. trained.Except(ordered)]; // a state is resumed by the same groups, in the same order
        Groups = GroupsOf(Trained);
    }

    /// <summary>The model with its delta.</summary>
    public TransformerModel<float> Model { get; }

    /// <summary>Names of the parameters that are trained, as in <see cref="ParameterVector{T}.Slices"/>.</summary>
    public IReadOnlyList<string> Trained { get; }

    /// <summary>What trains these and freezes all else, for <see cref="TrainerOptions.Groups"/>.</summary>
    public IReadOnlyList<ParameterGroup> Groups { get; }

    /// <summary>Values that are trained.</summary>
    public long TrainableCount => Model.Parameters.Slices.Where(slice => ParameterGroup.Trains(Groups, slice)).Sum(slice => (long)slice.Length);

    /// <summary>The model without its delta; null where it is not known any more.</summary>
    internal BaseMark? Base { get; }

    /// <summary>Gives a model a delta of zeros: it computes what it did before, and has values to train.</summary>
    /// <param name="basis">The model, which stays as it is.</param>
    /// <param name="options">Size, layers, places.</param>
    /// <param name="calibration">The data that chooses places by their gradients; needed for <see cref="DeltaSupport.Gradient"/> alone.</param>
    /// <exception cref="InvalidSettingException">An option is out of range, a pattern matches no matrix, or a matrix has no frozen base or has a
    /// delta already.</exception>
    /// <exception cref="MemoryLimitException">The gradients that choose the places do not fit into memory.</exception>
    /// <exception cref="TokenException">The data does not fit the model.</exception>
    public static DeltaModel Attach(TransformerModel<float> basis, DeltaOptions options, DeltaCalibration? calibration = null)
    {
        ArgumentNullException.ThrowIfNull(basis);
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        if (options.Support == DeltaSupport.Gradient && !basis.Config.Causal)
        {
            throw new InvalidSettingException(nameof(options.Support), options.Support,
                $"gradients of the next tokens choose the places, and {basis.Config.Describe()} predicts none. Use {DeltaSupport.Runs} or "
                    + $"{DeltaSupport.Random}.");
        }

        if (options.Support == DeltaSupport.Gradient && calibration is null)
        {
            throw new InvalidSettingException(nameof(options.Support), options.Support,
                "give the data whose gradients choose the places, or use Runs.");
        }

        TransformerWeights weights = basis.GetWeights();
        List<string> names = [.. NamesOf(weights)];
        NamePatterns patterns = new(options.Layers, []);
        patterns.RequireMatches(names);
        HashSet<string> chosen = [.. names.Where(patterns.Selects)];
        Func<string, RbeMatrix, int, CoefficientSupport> places = ByRule;
        if (options.Support == DeltaSupport.Gradient)
        {
            Dictionary<string, CoefficientSupport> found = GradientPlaces.Choose(weights, chosen, options, calibration!);
            places = (name, _, _) => found[name];
        }

        BaseMark mark = BaseMark.Of(basis);
        TransformerModel<float> model = new(weights.WithMatrices((name, matrix) => chosen.Contains(name)
            ? WithDelta(name, matrix, options, places(name, matrix, names.IndexOf(name))) : matrix));
        return new DeltaModel(model, mark, TrainedOf(model, options, chosen));

        CoefficientSupport ByRule(string name, RbeMatrix matrix, int index) =>
            SupportSelector.FromRule(PlanOf(matrix, options, index), matrix.Tile, matrix.TileCount);
    }

    /// <summary>A model that has its delta already: what a run saved in the place of the model that it began with.</summary>
    internal static DeltaModel GoOn(TransformerModel<float> model, DeltaOptions options)
    {
        NamePatterns patterns = new(options.Layers, []);
        return new DeltaModel(model, null, TrainedOf(model, options, [.. NamesOf(model.GetWeights()).Where(patterns.Selects)]));
    }

    /// <summary>Frees the model.</summary>
    public void Dispose() => Model.Dispose();

    /// <summary>What trains parameters of these names alone.</summary>
    internal static IReadOnlyList<ParameterGroup> GroupsOf(IEnumerable<string> trained) =>
        [new ParameterGroup("*") { Frozen = true }, .. trained.Select(name => new ParameterGroup(name) { Frozen = false })];

    /// <summary>A matrix with a delta of zeros at these places.</summary>
    internal static RbeMatrix WithDelta(string name, RbeMatrix matrix, DeltaOptions options, CoefficientSupport support) =>
        WithDelta(name, matrix, FormatOf(options, matrix.Tile, 0), support, new float[checked(support.TileCount * support.CoefficientsPerTile)]);

    /// <summary>A matrix with a delta of these values.</summary>
    /// <exception cref="InvalidSettingException">It cannot have one.</exception>
    internal static RbeMatrix WithDelta(string name, RbeMatrix matrix, SparseFormat delta, CoefficientSupport support, float[] values) =>
        new(matrix.Rows, matrix.Columns, matrix.Tile, matrix.Transform, matrix.Alphas, support, values, matrix.Base,
            RequireBase(name, matrix) with { Delta = delta });

    /// <summary>What is checked of options and matrix together: which runs there may be.</summary>
    internal static FormatPlan PlanOf(RbeMatrix matrix, DeltaOptions options, int index) => FormatPlan.OfPlaces(
        new RbeOptions { Tile = matrix.Tile, Transform = matrix.Transform, Alphas = matrix.HasAlphas }, FormatOf(options, matrix.Tile, index));

    /// <summary>Names of the blocks' matrices.</summary>
    internal static IEnumerable<string> NamesOf(TransformerWeights weights) =>
        weights.Blocks.SelectMany((_, l) => PerMatrix.All.Select(m => $"blocks.{l}.{PerMatrix.NameOf(m)}"));

    /// <summary>The format of a matrix that may be given a delta.</summary>
    internal static FrozenFormat RequireBase(string name, RbeMatrix matrix)
    {
        if (matrix.Base is null && matrix.Support is { } own)
        {
            throw new InvalidSettingException("delta", name,
                (own.CoefficientsPerTile == matrix.Tile * matrix.Tile ? "the matrix is dense: all of its values are floats that can be trained as they are, so "
                        + "that a delta would add nothing. "
                    : $"the matrix is stored as {matrix.Format.Name}: its {Amount.Of(own.CoefficientsPerTile, "coefficient")} a tile are floats at places "
                        + "of their own, and a matrix has one set of places, so that there is none left for a delta. ")
                    + "Train them (leave the delta out), compress the model in a format of codes, such as trellis, or leave the matrix out by name.");
        }

        if (matrix.Base is null || matrix.Format is not FrozenFormat frozen)
        {
            throw new InvalidSettingException("delta", name,
                $"a delta rides on frozen codes, and this matrix is stored as {matrix.Format.Name}. Compress the model in a format of codes, such as "
                    + "trellis, or leave the matrix out by name.");
        }

        if (matrix.Support is null) return frozen;
        throw new InvalidSettingException("delta", name,
            $"the matrix has a delta of {Amount.Of(matrix.Support.CoefficientsPerTile, "coefficient")} a tile already. Train that, or begin with the model "
                + "without it.");
    }

    private static SparseFormat FormatOf(DeltaOptions options, int tile, int index)
    {
        int seed = unchecked(options.Seed + (index * 7919));
        return RbeFormat.Sparse(options.CoefficientsOf(tile),
            options.Support == DeltaSupport.Random ? SupportRule.Random(seed) : SupportRule.Runs(DeltaOptions.RunLength, seed));
    }

    private static List<string> TrainedOf(TransformerModel<float> model, DeltaOptions options, HashSet<string> chosen) =>
        [.. model.Parameters.Slices.Where(slice => slice.Kind switch
        {
            ParameterKind.Coefficient => chosen.Contains(OwnerOf(slice)),
            ParameterKind.Bias => options.Biases && chosen.Contains(OwnerOf(slice)),
            ParameterKind.LayerNorm => options.LayerNorms,
            _ => false,
        }).Select(slice => slice.Name)];

    private static string OwnerOf(ParameterSlice slice) => slice.Name[..slice.Name.LastIndexOf('.')];
}
