using System.Runtime.InteropServices;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace RbeMl.MLNet.Tests.Workout;

/// <summary>A probe on a scalar column.</summary>
internal sealed class ScalarProbe<T>(ValueGetter<T> getter) : Probe
{
    private T _value = default!;

    public override Cell Read(Litter litter = Litter.None)
    {
        if (litter != Litter.LastCall) _value = default!;
        getter(ref _value);
        return Held();
    }

    public override Cell Held() => new Cell<T>([_value], isVector: false);

    public override void Garble() => _value = default!;
}

/// <summary>A probe on a vector column.</summary>
internal sealed class VectorProbe<T>(ValueGetter<VBuffer<T>> getter) : Probe
{
    private VBuffer<T> _value;
    private int _length;

    public override Cell Read(Litter litter = Litter.None)
    {
        Prepare(litter);
        getter(ref _value);
        _length = _value.Length;
        return Held();
    }

    public override Cell Held() => new Cell<T>(_value.DenseValues().ToArray(), isVector: true);

    public override void Garble()
    {
        ReadOnlySpan<T> values = _value.GetValues();
        MemoryMarshal.CreateSpan(ref MemoryMarshal.GetReference(values), values.Length).Fill(Rubbish());
        if (_value.IsDense) return;
        ReadOnlySpan<int> indices = _value.GetIndices();
        Span<int> writable = MemoryMarshal.CreateSpan(ref MemoryMarshal.GetReference(indices), indices.Length);
        for (int i = 0; i < writable.Length; i++) writable[i] = i;
    }

    private static T Rubbish() => default(T) switch
    {
        float => (T)(object)-12345.5f,
        double => (T)(object)-12345.5,
        int => (T)(object)-12345,
        uint => (T)(object)12345u,
        long => (T)(object)-12345L,
        byte => (T)(object)(byte)123,
        bool => (T)(object)true,
        ReadOnlyMemory<char> => (T)(object)"rubbish".AsMemory(),
        _ => default!,
    };

    private void Prepare(Litter litter)
    {
        if (litter == Litter.LastCall) return;
        _value = default;
        int length = litter == Litter.ShortDense ? Math.Max(1, _length - 1) : _length + 3;
        if (litter is Litter.LongDense or Litter.ShortDense)
            _value = new VBuffer<T>(length, Enumerable.Repeat(Rubbish(), length).ToArray());
        if (litter == Litter.Sparse) _value = new VBuffer<T>(length + 2, 2, [Rubbish(), Rubbish()], [1, 2]);
    }
}
