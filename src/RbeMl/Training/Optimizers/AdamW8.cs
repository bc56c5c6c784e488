using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using RbeMl.Files;
using RbeMl.Kernels;
using RbeMl.Layers;
using RbeMl.Memory;

namespace RbeMl.Training;

/// <summary>
/// AdamW whose moments are bytes, with a scale for each 256 (after Dettmers et al., "8-bit optimizers via block-wise quantization"): about a
/// quarter of AdamW's state. A step itself computes in floats.
/// </summary>
public sealed record AdamW8Options : OptimizerOptions
{
    /// <summary>First moment decay.</summary>
    public double Beta1 { get; init; } = 0.9;

    /// <summary>Second moment decay.</summary>
    public double Beta2 { get; init; } = 0.99;

    /// <summary>What is added to the root of the second moment.</summary>
    public double Epsilon { get; init; } = 1e-8;

    /// <inheritdoc/>
    public override string Name => "adamw8";

    /// <summary>None: its state is bytes.</summary>
    public override int StateVectors => 0;

    internal AdamWOptions InFloats => new() { Beta1 = Beta1, Beta2 = Beta2, Epsilon = Epsilon };

    /// <inheritdoc/>
    public override string Describe() => FormattableString.Invariant($"{Name}, beta {Beta1} and {Beta2}, epsilon {Epsilon}");

    internal override void Validate() => InFloats.Validate();

    internal override long CodedStateBytes(IEnumerable<ParameterSlice> slices) =>
        slices.Sum(slice => 2 * (slice.Length + (BlocksOf(slice) * sizeof(float))));

    internal override Optimizer<T> Create<T>(ParameterVector<T> parameters, TrainerOptions training, Func<ParameterSlice, bool>? trained = null)
        => new AdamW8<T>(this, parameters, training, trained);

    /// <summary>Blocks of a slice; each has its own.</summary>
    internal static long BlocksOf(ParameterSlice slice) => ((long)slice.Length + MomentCodes.Block - 1) / MomentCodes.Block;
}

/// <summary>AdamW over a flat parameter vector with two moments of bytes, see <see cref="MomentCodes"/>.</summary>
/// <typeparam name="T">Element type.</typeparam>
internal sealed unsafe class AdamW8<T> : Optimizer<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private const int Moments = 2, Block = MomentCodes.Block;
    private static readonly string[] s_names = ["first", "second"];
    private readonly AdamWOptions _own;
    private readonly (long Block, long Code)[] _first; // of a slice
    private readonly long _blocks, _values;
    private readonly NativeBuffer<sbyte> _codes; // [moment][value]
    private readonly NativeBuffer<float> _scales; // [moment][block]
    private int _step;
    private double _correction1, _correction2;

    /// <summary>Creates it with a state of zeros.</summary>
    /// <param name="own">Betas and epsilon.</param>
    /// <param name="parameters">What it changes.</param>
    /// <param name="training">Rates, decay, clipping.</param>
    /// <param name="trained">Whether a slice is trained; null trains all.</param>
    public AdamW8(AdamW8Options own, ParameterVector<T> parameters, TrainerOptions training, Func<ParameterSlice, bool>? trained)
        : base(own, parameters, training, trained)
    {
        _own = own.InFloats;
        _first = new (long, long)[parameters.Slices.Count];
        for (int s = 0; s < _first.Length; s++)
        {
            _first[s] = (_blocks, _values);
            if (!(trained?.Invoke(parameters.Slices[s]) ?? true)) continue;
            _blocks += AdamW8Options.BlocksOf(parameters.Slices[s]);
            _values += parameters.Slices[s].Length;
        }

        _codes = new NativeBuffer<sbyte>(Moments * _values);
        _scales = new NativeBuffer<float>(Moments * _blocks);
    }

    /// <inheritdoc/>
    protected override (double Gradient, string What) Largest => AdamW<T>.LargestGradient;

    /// <inheritdoc/>
    public override void Save(StateWriter state)
    {
        base.Save(state);
        for (int moment = 0; moment < Moments; moment++)
        {
            Add($"{s_names[moment]}.codes", (byte*)Codes(moment), _values);
            Add($"{s_names[moment]}.scales", (byte*)Scales(moment), _blocks * sizeof(float));
        }

        void Add(string key, byte* bytes, long length) => state.Add(key, length, sink =>
        {
            const int Part = 1 << 20;
            for (long done = 0; done < length; done += Part) sink(new ReadOnlySpan<byte>(bytes + done, (int)Math.Min(Part, length - done)));
        });
    }

    /// <inheritdoc/>
    public override void Load(StateReader state)
    {
        base.Load(state);
        for (int moment = 0; moment < Moments; moment++)
        {
            int which = moment;
            byte[] codes = state.Bytes($"{s_names[moment]}.codes", _values), scales = state.Bytes($"{s_names[moment]}.scales", _blocks * sizeof(float));
            int bad = MemoryMarshal.Cast<byte, float>(scales).IndexOfAnyExceptInRange(0, float.MaxValue);
            if (bad >= 0) throw FiniteWeights.NotFinite($"optimizer.{s_names[moment]}.scales", MemoryMarshal.Cast<byte, float>(scales)[bad], bad);
            state.Then(() =>
            {
                codes.CopyTo(new Span<byte>(Codes(which), codes.Length));
                scales.CopyTo(new Span<byte>(Scales(which), scales.Length));
            });
        }
    }

    /// <inheritdoc/>
    protected override void Begin(int step) =>
        (_step, _correction1, _correction2) = (step, 1 - Math.Pow(_own.Beta1, step), 1 - Math.Pow(_own.Beta2, step));

    // Compiled in full at once: the first, quick version of generic arithmetic allocates.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    protected override void Update(in OptimizerPiece<T> piece)
    {
        T* moments = stackalloc T[Moments * Block];
        // Pieces begin at whole blocks.
        (long block, long code) = (_first[piece.Slice].Block + (piece.First / Block), _first[piece.Slice].Code + piece.First);
        for (int done = 0; done < piece.Length; done += Block, block++, code += Block)
        {
            int count = Math.Min(Block, piece.Length - done);
            for (int moment = 0; moment < Moments; moment++)
            {
                MomentCodes.Decode(Codes(moment) + code, Scales(moment)[block], moments + (moment * Block), count, moment == 1);
            }

            OptimizerPiece<T> part = new(piece.Slice, piece.Weights + done, piece.Gradients + done, piece.First + done, count, piece.Rate, piece.Decay,
                piece.Scale);
            AdamW<T>.Update(part, _own, moments, moments + Block, _correction1, _correction2);
            for (int moment = 0; moment < Moments; moment++)
            {
                fixed (float* dither = MomentCodes.Dither(_step, block + (moment * _blocks)))
                {
                    Scales(moment)[block] = MomentCodes.Encode(moments + (moment * Block), count, dither, Codes(moment) + code, moment == 1);
                }
            }
        }
    }

    private sbyte* Codes(int moment) => _codes.Pointer + (moment * _values);

    private float* Scales(int moment) => _scales.Pointer + (moment * _blocks);

    /// <inheritdoc/>
    protected override void FreeScratch()
    {
        _codes.Dispose();
        _scales.Dispose();
    }
}
