using System.Numerics;
using System.Runtime.CompilerServices;
using RbeMl.Kernels;
using RbeMl.Layers;

namespace RbeMl.Training;

/// <summary>
/// Gradient descent with momentum, and its options. Its default rate is 30 times AdamW's: 0.09 where AdamW has 3e-3. Its weight decay is
/// added to the gradient, as in the textbook; its default is a 300th of AdamW's, which with the default rate and momentum shrinks weights
/// as fast.
/// </summary>
public sealed record SgdOptions : OptimizerOptions
{
    private const double RateOfAdamW = 30, DecaysOfAdamW = 300;

    /// <summary>What remains of the steps so far in the next one; 0 for none, which needs no state.</summary>
    public double Momentum { get; init; } = 0.9;

    /// <inheritdoc/>
    public override string Name => "sgd";

    /// <inheritdoc/>
    public override int StateVectors => Momentum > 0 ? 1 : 0;

    /// <inheritdoc/>
    public override double RateFor(double adamW) => adamW * RateOfAdamW;

    /// <inheritdoc/>
    public override double DecayFor(double adamW) => adamW / DecaysOfAdamW;

    /// <inheritdoc/>
    public override string Describe() => FormattableString.Invariant($"{Name}, momentum {Momentum}");

    internal override void Validate() => RequireFraction(nameof(Momentum), Momentum);

    internal override Optimizer<T> Create<T>(
        ParameterVector<T> parameters, TrainerOptions training, Func<ParameterSlice, bool>? trained = null, OptimizerShare? share = null)
        => new Sgd<T>(this, parameters, training, trained, share);

    /// <summary>
    /// A value that is s times as large has a gradient that is s times as small: to move as the others do it takes s² times the rate. Its
    /// decay is divided by s, so that it shrinks by rate * s * decay as with the other optimisers.
    /// </summary>
    internal override (double Rate, double Decay) RateAndDecay(ParameterSlice slice, TrainerOptions training)
    {
        double scale = slice.RateScale;
        if (training.CoefficientLearningRate is { } rate && slice.Kind is ParameterKind.Coefficient or ParameterKind.Alpha)
        {
            scale = Math.Sqrt(rate / training.LearningRate);
            if (slice.Gram is { } gram) scale /= Math.Sqrt(gram[0]); // <1, 1> = B²
        }

        return (training.LearningRate * scale * scale, base.RateAndDecay(slice, training).Decay / scale);
    }
}

/// <summary>Gradient descent with momentum over a flat parameter vector.</summary>
/// <typeparam name="T">Element type.</typeparam>
/// <param name="own">Momentum.</param>
/// <param name="parameters">What it changes.</param>
/// <param name="training">Rates, decay, clipping.</param>
/// <param name="trained">Whether a slice is trained; null trains all.</param>
/// <param name="share">What of it this rank does; null for all.</param>
internal sealed unsafe class Sgd<T>(SgdOptions own, ParameterVector<T> parameters, TrainerOptions training, Func<ParameterSlice, bool>? trained,
    OptimizerShare? share)
    : Optimizer<T>(own, parameters, training, trained, share)
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private readonly SgdOptions _own = own;

    /// <summary>
    /// A step is at most rate * gradient / (1 - momentum), however many went before; half of that leaves room for the weight.
    /// </summary>
    protected override (double Gradient, string What) Largest =>
        ((typeof(T) == typeof(float) ? float.MaxValue : double.MaxValue) / 2 * (1 - _own.Momentum) / Math.Max(1, HighestRate), "step");

    // Compiled in full at once: the first, quick version of generic arithmetic allocates.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    protected override void Update(in OptimizerPiece<T> piece) => SgdKernel.Sgd(
        piece.Weights, piece.Gradients, _own.StateVectors > 0 ? State(0, piece) : null, piece.Length,
        T.CreateTruncating(piece.Rate), T.CreateTruncating(piece.Decay), T.CreateTruncating(_own.Momentum), T.CreateTruncating(piece.Scale));
}
