using System.Numerics;
using System.Runtime.CompilerServices;
using RbeMl.Kernels;
using RbeMl.Layers;

namespace RbeMl.Training;

/// <summary>
/// Lion (Chen et al., "Symbolic discovery of optimization algorithms") and its options: every value moves by its rate, in the direction of
/// the sign of a mean of gradients. It has half of AdamW's state. As all values move by the whole rate, its default rate is a quarter of
/// AdamW's, 7.5e-4 where AdamW has 3e-3, and its default decay four times AdamW's, which shrinks weights as fast.
/// </summary>
public sealed record LionOptions : OptimizerOptions
{
    private const double OfAdamW = 4;

    /// <summary>Share of the momentum in the direction of a step; the rest is the gradient.</summary>
    public double Beta1 { get; init; } = 0.9;

    /// <summary>Decay of the momentum.</summary>
    public double Beta2 { get; init; } = 0.99;

    /// <inheritdoc/>
    public override string Name => "lion";

    /// <inheritdoc/>
    public override int StateVectors => 1;

    /// <inheritdoc/>
    public override double RateFor(double adamW) => adamW / OfAdamW;

    /// <inheritdoc/>
    public override double DecayFor(double adamW) => adamW * OfAdamW;

    /// <inheritdoc/>
    public override string Describe() => FormattableString.Invariant($"{Name}, beta {Beta1} and {Beta2}");

    internal override void Validate()
    {
        RequireFraction(nameof(Beta1), Beta1);
        RequireFraction(nameof(Beta2), Beta2);
    }

    internal override Optimizer<T> Create<T>(
        ParameterVector<T> parameters, TrainerOptions training, Func<ParameterSlice, bool>? trained = null, OptimizerShare? share = null)
        => new Lion<T>(this, parameters, training, trained, share);
}

/// <summary>Lion over a flat parameter vector: one state vector, decay as AdamW's.</summary>
/// <typeparam name="T">Element type.</typeparam>
/// <param name="own">Betas.</param>
/// <param name="parameters">What it changes.</param>
/// <param name="training">Rates, decay, clipping.</param>
/// <param name="trained">Whether a slice is trained; null trains all.</param>
/// <param name="share">What of it this rank does; null for all.</param>
internal sealed unsafe class Lion<T>(LionOptions own, ParameterVector<T> parameters, TrainerOptions training, Func<ParameterSlice, bool>? trained,
    OptimizerShare? share)
    : Optimizer<T>(own, parameters, training, trained, share)
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private readonly LionOptions _own = own;

    /// <summary>The momentum is a mean of gradients, no larger than the largest; half leaves room for roundings.</summary>
    protected override (double Gradient, string What) Largest { get; } = ((typeof(T) == typeof(float) ? float.MaxValue : double.MaxValue) / 2, "momentum");

    // Compiled in full at once: the first, quick version of generic arithmetic allocates.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    protected override void Update(in OptimizerPiece<T> piece) => LionKernel.Lion(
        piece.Weights, piece.Gradients, State(0, piece), piece.Length, T.CreateTruncating(piece.Rate), T.CreateTruncating(piece.Decay),
        T.CreateTruncating(_own.Beta1), T.CreateTruncating(_own.Beta2), T.CreateTruncating(piece.Scale));
}
