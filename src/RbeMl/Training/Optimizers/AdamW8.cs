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

    internal override long CodedBytes(long values) => 2 * (values + (BlocksOf(values) * sizeof(float)));

    internal override Optimizer<T> Create<T>(
        ParameterVector<T> parameters, TrainerOptions training, Func<ParameterSlice, bool>? trained = null, OptimizerShare? share = null)
        => new AdamW8<T>(this, parameters, training, trained, share);

    /// <summary>Blocks of values of a slice; each slice has its own.</summary>
    internal static long BlocksOf(long values) => (values + MomentCodes.Block - 1) / MomentCodes.Block;
}

/// <summary>AdamW over a flat parameter vector with two moments of bytes, see <see cref="MomentCodes"/>.</summary>
/// <typeparam name="T">Element type.</typeparam>
internal sealed unsafe class AdamW8<T> : Optimizer<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private const int Moments = 2, Block = MomentCodes.Block;
    private static readonly string[] s_names = ["first", "second"];
    private readonly AdamWOptions _own;
    private readonly (long Block, long Code, long Number)[] _first; // of a piece: where it begins, and its first block's number among all
    private readonly long _blocks, _values; // held
    private readonly long _allBlocks, _allValues; // of all ranks together
    private readonly NativeBuffer<sbyte> _codes; // [moment][value]
    private readonly NativeBuffer<float> _scales; // [moment][block]
    private int _step;
    private double _correction1, _correction2;

    /// <summary>Creates it with a state of zeros.</summary>
    /// <param name="own">Betas and epsilon.</param>
    /// <param name="parameters">What it changes.</param>
    /// <param name="training">Rates, decay, clipping.</param>
    /// <param name="trained">Whether a slice is trained; null trains all.</param>
    /// <param name="share">What of it this rank does; null for all.</param>
    public AdamW8(AdamW8Options own, ParameterVector<T> parameters, TrainerOptions training, Func<ParameterSlice, bool>? trained,
        OptimizerShare? share)
        : base(own, parameters, training, trained, share)
    {
        _own = own.InFloats;
        _first = new (long, long, long)[Pieces.Length];
        HashSet<int> held = [.. OwnPieces];
        for (int piece = 0; piece < _first.Length; piece++)
        {
            long values = Pieces[piece].Length, blocks = AdamW8Options.BlocksOf(values);
            _first[piece] = (_blocks, _values, _allBlocks);
            (_allBlocks, _allValues) = (_allBlocks + blocks, _allValues + values);
            if (held.Contains(piece)) (_blocks, _values) = (_blocks + blocks, _values + values);
        }

        _codes = new NativeBuffer<sbyte>(Moments * _values);
        _scales = new NativeBuffer<float>(Moments * _blocks);
    }

    /// <inheritdoc/>
    protected override (double Gradient, string What) Largest => AdamW<T>.LargestGradient;

    /// <inheritdoc/>
    internal override long AllocatedBytes => _codes.AllocatedBytes + _scales.AllocatedBytes;

    /// <inheritdoc/>
    public override void Save(StateWriter state)
    {
        base.Save(state);
        for (int moment = 0; moment < Moments; moment++)
        {
            sbyte* codes = Codes(moment);
            float* scales = Scales(moment);
            Add($"{s_names[moment]}.codes", _allValues, (byte*)codes, _values, values => values, piece => (nint)(codes + _first[piece].Code));
            Add($"{s_names[moment]}.scales", _allBlocks * sizeof(float), (byte*)scales, _blocks * sizeof(float),
                values => sizeof(float) * (int)AdamW8Options.BlocksOf(values), piece => (nint)(scales + _first[piece].Block));
        }

        void Add(string key, long length, byte* bytes, long held, Func<int, int> bytesOf, Func<int, nint> own) =>
            state.Add(key, length, Shared?.Add(bytesOf, own) ?? (sink =>
            {
                const int Part = 1 << 20;
                for (long done = 0; done < held; done += Part) sink(new ReadOnlySpan<byte>(bytes + done, (int)Math.Min(Part, held - done)));
            }));
    }

    /// <inheritdoc/>
    public override void Load(StateReader state)
    {
        base.Load(state);
        for (int moment = 0; moment < Moments; moment++)
        {
            int which = moment;
            byte[] codes = state.Bytes($"{s_names[moment]}.codes", _allValues), scales = state.Bytes($"{s_names[moment]}.scales", _allBlocks * sizeof(float));
            int bad = MemoryMarshal.Cast<byte, float>(scales).IndexOfAnyExceptInRange(0, float.MaxValue);
            if (bad >= 0) throw FiniteWeights.NotFinite($"optimizer.{s_names[moment]}.scales", MemoryMarshal.Cast<byte, float>(scales)[bad], bad);
            state.Then(() => Take(which, MemoryMarshal.Cast<byte, sbyte>(codes), MemoryMarshal.Cast<byte, float>(scales)));
        }
    }

    // Of the codes and scales of all ranks those of this one.
    private void Take(int moment, ReadOnlySpan<sbyte> codes, ReadOnlySpan<float> scales)
    {
        int code = 0; // of a piece among all
        for (int piece = 0, next = 0; piece < Pieces.Length; piece++)
        {
            int values = Pieces[piece].Length;
            if (next < OwnPieces.Length && OwnPieces[next] == piece)
            {
                int blocks = (int)AdamW8Options.BlocksOf(values);
                codes.Slice(code, values).CopyTo(new Span<sbyte>(Codes(moment) + _first[piece].Code, values));
                scales.Slice((int)_first[piece].Number, blocks).CopyTo(new Span<float>(Scales(moment) + _first[piece].Block, blocks));
                next++;
            }

            code += values;
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
        (long block, long code, long number) = _first[piece.Index];
        for (int done = 0; done < piece.Length; done += Block, block++, number++, code += Block)
        {
            int count = Math.Min(Block, piece.Length - done);
            for (int moment = 0; moment < Moments; moment++)
            {
                MomentCodes.Decode(Codes(moment) + code, Scales(moment)[block], moments + (moment * Block), count, moment == 1);
            }

            OptimizerPiece<T> part = new(piece.Index, piece.Slice, piece.Weights + done, piece.Gradients + done, piece.Place + done, count, piece.Rate,
                piece.Decay, piece.Scale);
            AdamW<T>.Update(part, _own, moments, moments + Block, _correction1, _correction2);
            for (int moment = 0; moment < Moments; moment++)
            {
                fixed (float* dither = MomentCodes.Dither(_step, number + (moment * _allBlocks)))
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
