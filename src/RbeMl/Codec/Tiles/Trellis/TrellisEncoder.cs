using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using RbeMl.Numerics;

namespace RbeMl.Codec;

/// <summary>
/// Finds the symbols of least squared error (Viterbi 1967). Samples have about unit variance. States that share their last 12 - k bits have the same
/// successors, so only the best of each such group matters: group u keeps its cost and, per sample, one byte that names its best member. The cost
/// of a sample is (x - Table[s])², added to the group's with one rounding; ties go to the lowest state. Every width gives the same bits.
/// Holds scratch, so every thread needs its own.
/// </summary>
internal sealed unsafe partial class TrellisEncoder
{
    private const int RenormalizeEvery = 64; // samples; keeps costs small, and with them their rounding
    private readonly int _bits;
    private readonly int _groups;
    private readonly float[] _table;
    private readonly float[] _costs;
    private readonly float[] _next;
    private byte[] _back = [];

    /// <summary>Creates an encoder.</summary>
    /// <param name="bits">k = 2 .. 6.</param>
    public TrellisEncoder(int bits)
    {
        _bits = bits;
        _groups = TrellisCodebook.States >> bits;
        _table = TrellisCodebook.For(bits);
        _costs = new float[_groups + LoadAhead];
        _next = new float[_groups + LoadAhead];
    }

    /// <summary>Bits of a symbol.</summary>
    public int Bits => _bits;

    /// <summary>Encodes a whole payload, whose history is zero.</summary>
    /// <inheritdoc cref="EncodeSegment(ReadOnlySpan{float}, int, Span{byte})"/>
    public int Encode(ReadOnlySpan<float> values, Span<byte> symbols) => EncodeSegment(values, 0, symbols);

    /// <summary>Encodes a part of a payload that follows on <paramref name="startState"/>; the state after it is free.</summary>
    /// <param name="values">Samples, finite and not beyond 1e6.</param>
    /// <param name="startState">The state before the first sample, 0 at the start of a payload.</param>
    /// <param name="symbols">One for each sample, written.</param>
    /// <returns>The state after the last sample, to go on from.</returns>
    public int EncodeSegment(ReadOnlySpan<float> values, int startState, Span<byte> symbols) => EncodeSegment(values, startState, symbols, Wide.Lanes);

    /// <summary>Table values of symbols that follow on a state.</summary>
    /// <param name="bits">Bits of a symbol.</param>
    /// <param name="startState">The state before the first symbol.</param>
    /// <param name="symbols">The symbols.</param>
    /// <param name="values">One for each, written: values of unit variance, to be multiplied by the scale.</param>
    /// <returns>The state after the last symbol.</returns>
    public static int Reconstruct(int bits, int startState, ReadOnlySpan<byte> symbols, Span<float> values)
    {
        float[] table = TrellisCodebook.For(bits);
        int state = startState;
        for (int t = 0; t < symbols.Length; t++)
        {
            state = TrellisCodebook.Next(state, symbols[t], bits);
            values[t] = table[state];
        }

        return state;
    }

    /// <summary>The same on so many lanes, for comparison.</summary>
    internal int EncodeSegment(ReadOnlySpan<float> values, int startState, Span<byte> symbols, int lanes)
    {
        if (symbols.Length != values.Length) throw new ShapeMismatchException("symbols", $"{values.Length}", $"{symbols.Length}", "Pass one for each value.");
        if (values.Length == 0) return startState;
        int steps = checked(values.Length * _groups);
        if (_back.Length < steps) _back = GC.AllocateUninitializedArray<byte>(steps);
        fixed (float* samples = values, table = _table, costs = _costs, next = _next)
        fixed (byte* back = _back)
        {
            new Span<float>(costs, _groups).Fill(float.PositiveInfinity);
            costs[startState & _groups - 1] = 0;
            Wide.Run(lanes, new StepsWork(samples, values.Length - 1, _bits, table, costs, next, back));
            int end = BestEnd(values[^1], values.Length % 2 == 1 ? costs : next), state = end;
            for (int t = values.Length - 1; t >= 0; t--)
            {
                symbols[t] = (byte)(state & (1 << _bits) - 1);
                int group = state >> _bits;
                if (t > 0) state = back[(nint)(t - 1) * _groups + group] * _groups | group;
            }

            return end;
        }
    }

    private int BestEnd(float x, float* costs)
    {
        int best = 0;
        float least = float.PositiveInfinity;
        for (int s = 0; s < TrellisCodebook.States; s++)
        {
            float difference = x - _table[s], cost = MathF.FusedMultiplyAdd(difference, difference, costs[s >> _bits]);
            if (cost >= least) continue;
            least = cost;
            best = s;
        }

        return best;
    }

    // Subtracts the least cost. Order does not matter to a minimum.
    private static void Renormalize(Span<float> costs)
    {
        Span<Vector256<float>> vectors = MemoryMarshal.Cast<float, Vector256<float>>(costs);
        Vector256<float> least = vectors[0];
        foreach (Vector256<float> v in vectors) least = Vector256.MinNative(least, v);
        float minimum = float.PositiveInfinity;
        for (int i = 0; i < Vector256<float>.Count; i++) minimum = Math.Min(minimum, least[i]);
        for (int i = 0; i < vectors.Length; i++) vectors[i] -= Vector256.Create(minimum);
    }
}
