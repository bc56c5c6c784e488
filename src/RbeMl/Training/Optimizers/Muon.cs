using System.Numerics;
using System.Runtime.CompilerServices;
using RbeMl.Kernels;
using RbeMl.Layers;
using RbeMl.Memory;

namespace RbeMl.Training;

/// <summary>
/// Muon (Jordan et al., "Muon: an optimizer for hidden layers in neural networks") and its options: the momentum of a matrix is made
/// orthogonal before it moves the matrix, so that all its directions move alike. Embeddings, alphas, biases and LayerNorms are trained by
/// AdamW. Steps have the size of AdamW's, and so its rates. The gain over AdamW grows with the part of the coefficients that is kept.
/// </summary>
public sealed record MuonOptions : OptimizerOptions
{
    /// <summary>Decay of the momentum of matrices.</summary>
    public double Momentum { get; init; } = 0.95;

    /// <summary>AdamW, for all but matrices.</summary>
    public AdamWOptions Others { get; init; } = new();

    /// <inheritdoc/>
    public override string Name => "muon";

    /// <inheritdoc/>
    public override int StateVectors => 2;

    /// <inheritdoc/>
    public override string Describe() => FormattableString.Invariant($"{Name}, momentum {Momentum}, others by {Others.Describe()}");

    internal override void Validate()
    {
        RequireFraction(nameof(Momentum), Momentum);
        if (Others is null) throw new InvalidSettingException(nameof(Others), "null", $"use an {nameof(AdamWOptions)}.");
        Others.Validate();
    }

    // A matrix, or the tiles of one, which pieces do not end with.
    internal override bool TakesWhole(ParameterSlice slice) => MuonMatrix.Of(slice) is not null;

    internal override long ScratchElements(IReadOnlyList<ParameterSlice> slices) =>
        slices.Select(slice => MuonMatrix.Of(slice)?.ScratchElements ?? 0).DefaultIfEmpty(0).Max();

    internal override Optimizer<T> Create<T>(
        ParameterVector<T> parameters, TrainerOptions training, Func<ParameterSlice, bool>? trained = null, OptimizerShare? share = null)
        => new Muon<T>(this, parameters, training, trained, share);
}

/// <summary>Muon over a flat parameter vector: momentum in the first state vector, AdamW's second moment of other slices in the second.</summary>
/// <typeparam name="T">Element type.</typeparam>
internal sealed unsafe class Muon<T> : Optimizer<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    // Root mean square of a step at a rate of 1: about AdamW's.
    private const double StepSize = 0.2;

    private readonly MuonOptions _own;
    private readonly IReadOnlyList<ParameterSlice> _slices;
    private readonly MuonMatrix?[] _matrices; // of a slice
    private readonly (int Slice, int Item)[] _items;
    private readonly long _scratchElements;
    private NativeBuffer<T>? _scratch;
    private double _correction1, _correction2;

    /// <summary>Creates it with a state of zeros.</summary>
    /// <param name="own">Momentum, and AdamW's options.</param>
    /// <param name="parameters">What it changes.</param>
    /// <param name="training">Rates, decay, clipping.</param>
    /// <param name="trained">Whether a slice is trained; null trains all.</param>
    /// <param name="share">What of it this rank does; null for all.</param>
    public Muon(MuonOptions own, ParameterVector<T> parameters, TrainerOptions training, Func<ParameterSlice, bool>? trained,
        OptimizerShare? share)
        : base(own, parameters, training, trained, share)
    {
        (_own, _slices) = (own, parameters.Slices);
        _matrices = [.. parameters.Slices.Select(slice => trained?.Invoke(slice) ?? true ? MuonMatrix.Of(slice) : null)];
        HashSet<int> held = [];
        foreach (int piece in OwnPieces) held.Add(Pieces[piece].Slice);
        _items = [.. _matrices.SelectMany((matrix, slice) => Enumerable.Range(0, held.Contains(slice) ? matrix?.Items ?? 0 : 0).Select(item => (slice, item)))];
        _scratchElements = own.ScratchElements([.. parameters.Slices.Where(slice => trained?.Invoke(slice) ?? true)]);
    }

    /// <inheritdoc/>
    protected override (double Gradient, string What) Largest => AdamW<T>.LargestGradient;

    /// <inheritdoc/>
    protected override void Begin(int step) =>
        (_correction1, _correction2) = (1 - Math.Pow(_own.Others.Beta1, step), 1 - Math.Pow(_own.Others.Beta2, step));

    // Of a matrix the gradient becomes the direction that Finish makes orthogonal.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    protected override void Update(in OptimizerPiece<T> piece)
    {
        if (_matrices[piece.Slice] is null)
        {
            AdamW<T>.Update(piece, _own.Others, State(0, piece), State(1, piece), _correction1, _correction2);
        }
        else
        {
            MomentumKernel.Nesterov(piece.Gradients, State(0, piece), piece.Length, T.CreateTruncating(_own.Momentum), T.CreateTruncating(piece.Scale));
        }
    }

    /// <inheritdoc/>
    protected override void Finish(ParameterVector<T> gradients, double rateFactor, WorkerPool workers)
    {
        if (_items.Length == 0) return;
        long all = _scratchElements * workers.Threads;
        if (_scratch is null || _scratch.Length < all)
        {
            _scratch?.Dispose();
            _scratch = new NativeBuffer<T>(all);
        }

        MatrixWork work = new(this, gradients, rateFactor);
        workers.For(_items.Length, ref work);
    }

    /// <inheritdoc/>
    protected override void FreeScratch() => _scratch?.Dispose();

    private readonly struct MatrixWork(Muon<T> muon, ParameterVector<T> gradients, double rateFactor) : IParallelWork
    {
        public void Execute(int item, int worker)
        {
            (int s, int part) = muon._items[item];
            MuonMatrix matrix = muon._matrices[s]!;
            (double rate, double decay) = muon.RateAndDecayOf(s);
            long first = matrix.FirstOf(part), length = matrix.Coefficients;
            T* direction = gradients.At(muon._slices[s]) + first, scratch = muon._scratch!.Pointer + (worker * muon._scratchElements);
            double squares = matrix.Orthogonalise(part, direction, scratch);
            double scale = squares > 0 ? StepSize / Math.Sqrt(squares / length) : 0;
            SgdKernel.Sgd(muon.Weights(s) + first, direction, null, length,
                T.CreateTruncating(rate * rateFactor), T.CreateTruncating(decay), T.Zero, T.CreateTruncating(scale));
        }
    }
}
