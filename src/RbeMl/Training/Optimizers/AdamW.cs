using System.Numerics;
using System.Runtime.CompilerServices;
using RbeMl.Kernels;
using RbeMl.Layers;

namespace RbeMl.Training;

/// <summary>The options of AdamW alone.</summary>
public sealed record AdamWOptions : OptimizerOptions
{
    /// <summary>First moment decay.</summary>
    public double Beta1 { get; init; } = 0.9;

    /// <summary>Second moment decay.</summary>
    public double Beta2 { get; init; } = 0.99;

    /// <summary>What is added to the root of the second moment.</summary>
    public double Epsilon { get; init; } = 1e-8;

    /// <inheritdoc/>
    public override string Name => "adamw";

    /// <inheritdoc/>
    public override int StateVectors => 2;

    /// <inheritdoc/>
    public override string Describe() => FormattableString.Invariant($"{Name}, beta {Beta1} and {Beta2}, epsilon {Epsilon}");

    internal override void Validate()
    {
        RequireFraction(nameof(Beta1), Beta1);
        RequireFraction(nameof(Beta2), Beta2);
        if (Epsilon is >= 1e-30 and < 1) return;
        throw new InvalidSettingException(nameof(Epsilon), Epsilon, "use a small positive number such as 1e-8, at least 1e-30.");
    }

    internal override Optimizer<T> Create<T>(
        ParameterVector<T> parameters, TrainerOptions training, Func<ParameterSlice, bool>? trained = null, OptimizerShare? share = null)
        => new AdamW<T>(this, parameters, training, trained, share);
}

/// <summary>
/// AdamW over a flat parameter vector (Loshchilov and Hutter, "Decoupled weight decay regularization"): two moment vectors, decay of
/// coefficients, alphas and embeddings but not of biases and LayerNorm.
/// </summary>
/// <typeparam name="T">Element type.</typeparam>
/// <param name="own">Betas and epsilon.</param>
/// <param name="parameters">What it changes.</param>
/// <param name="training">Rates, decay, clipping.</param>
/// <param name="trained">Whether a slice is trained; null trains all.</param>
/// <param name="share">What of it this rank does; null for all.</param>
internal sealed unsafe class AdamW<T>(AdamWOptions own, ParameterVector<T> parameters, TrainerOptions training, Func<ParameterSlice, bool>? trained,
    OptimizerShare? share)
    : Optimizer<T>(own, parameters, training, trained, share)
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private readonly AdamWOptions _own = own;
    private double _correction1, _correction2;

    /// <summary>
    /// The largest whose square the second moment can hold, an infinite one would keep its weight where it is for good; half of that root
    /// leaves room for roundings.
    /// </summary>
    internal static (double Gradient, string What) LargestGradient { get; } =
        (Math.Sqrt(typeof(T) == typeof(float) ? float.MaxValue : double.MaxValue) / 2, "square");

    /// <inheritdoc/>
    protected override (double Gradient, string What) Largest => LargestGradient;

    /// <inheritdoc/>
    protected override void Begin(int step) => (_correction1, _correction2) = (1 - Math.Pow(_own.Beta1, step), 1 - Math.Pow(_own.Beta2, step));

    // Compiled in full at once: the first, quick version of generic arithmetic allocates.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    protected override void Update(in OptimizerPiece<T> piece) =>
        Update(piece, _own, State(0, piece), State(1, piece), _correction1, _correction2);

    /// <summary>The update of a piece, for optimisers too that train a part by AdamW.</summary>
    internal static void Update(in OptimizerPiece<T> piece, AdamWOptions own, T* first, T* second, double correction1, double correction2) =>
        OptimizerKernel.AdamW(
            piece.Weights, piece.Gradients, first, second, piece.Length, T.CreateTruncating(piece.Rate), T.CreateTruncating(piece.Decay),
            T.CreateTruncating(own.Beta1), T.CreateTruncating(own.Beta2), T.CreateTruncating(own.Epsilon),
            T.CreateTruncating(correction1), T.CreateTruncating(correction2), T.CreateTruncating(piece.Scale));
}
