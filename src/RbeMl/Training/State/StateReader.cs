using System.Runtime.InteropServices;
using RbeMl.Files;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Numerics;
using RbeMl.Storage;

namespace RbeMl.Training;

/// <summary>
/// What a part of a training kept. Everything is checked when it is asked for, and changed by <see cref="Commit"/> once all parts have asked:
/// a state that cannot be read to its end changes nothing.
/// </summary>
/// <param name="file">The open file.</param>
/// <param name="name">The part.</param>
/// <param name="fields">Its numbers.</param>
/// <param name="read">Takes the names of the tensors that were asked for.</param>
internal sealed class StateReader(RbeContainer file, string name, JsonFields fields, HashSet<string> read)
{
    private readonly List<Action> _changes = [];

    /// <summary>Its numbers.</summary>
    public JsonFields Fields { get; } = fields;

    /// <summary>Does this once every part is known to be sound.</summary>
    public void Then(Action change) => _changes.Add(change);

    /// <summary>
    /// Checks a vector, and sets this one to it with the other changes. Earlier versions kept all slices of its layout, frozen ones too: of
    /// such a state those that are wanted are taken.
    /// </summary>
    /// <param name="key">Its name in the part.</param>
    /// <param name="vector">The vector.</param>
    /// <param name="kept">Whether a slice that it holds was kept; null for all.</param>
    /// <exception cref="RbeFileException">It is missing, of another length or damaged.</exception>
    /// <exception cref="NonFiniteException">A value is NaN or infinite.</exception>
    public void Read<T>(string key, ParameterVector<T> vector, Func<ParameterSlice, bool>? kept = null)
        where T : unmanaged, System.Numerics.IFloatingPointIeee754<T>
    {
        ParameterVector<float> values = vector as ParameterVector<float> ?? throw new NotSupportedException("Training states hold floats.");
        Read(key, values.Layout, slice => values.Holds(slice) && (kept?.Invoke(slice) ?? true), (slice, place, some) =>
        {
            using Hold held = values.Lease.Share();
            some.CopyTo(values.Of(slice)[place..]);
        });
    }

    /// <summary>The same of a vector that is not held as one.</summary>
    /// <param name="key">Its name in the part.</param>
    /// <param name="layout">All slices of its layout.</param>
    /// <param name="kept">Whether a slice was kept; null for all.</param>
    /// <param name="fill">Takes values of a slice that was kept, from a place in it on.</param>
    /// <exception cref="RbeFileException">It is missing, of another length or damaged.</exception>
    /// <exception cref="NonFiniteException">A value is NaN or infinite.</exception>
    public void Read(string key, IReadOnlyList<ParameterSlice> layout, Func<ParameterSlice, bool>? kept, SliceSink fill)
    {
        string tensor = $"{name}.{key}";
        ParameterSlice[] wanted = [.. layout.Where(slice => kept?.Invoke(slice) ?? true)];
        long all = layout.Sum(slice => (long)slice.Length);
        bool whole = file.Find(tensor).Count == all;
        file.Require<float>(tensor, whole ? all : wanted.Sum(slice => (long)slice.Length));
        long done = 0;
        file.Read(tensor, part =>
        {
            ReadOnlySpan<float> piece = MemoryMarshal.Cast<byte, float>(part);
            int bad = FiniteSearch.IndexOfNonFinite(piece);
            if (bad >= 0) throw FiniteWeights.NotFinite($"{tensor} of {file.Path}", piece[bad], done + bad);
            done += piece.Length;
        });
        read.Add(tensor);
        Then(() =>
        {
            VectorFill vector = new(whole ? layout : wanted, [.. wanted], fill);
            file.Read(tensor, part => vector.Write(MemoryMarshal.Cast<byte, float>(part)));
        });
    }

    /// <summary>Bytes of a tensor that a part keeps, checked.</summary>
    public byte[] Bytes(string key)
    {
        read.Add($"{name}.{key}");
        return file.Read<byte>($"{name}.{key}");
    }

    /// <summary>The same, of a length that is known and compared before anything is allocated.</summary>
    public byte[] Bytes(string key, long length)
    {
        read.Add($"{name}.{key}");
        return file.Read<byte>($"{name}.{key}", length);
    }

    /// <summary>Does what was put off.</summary>
    public void Commit()
    {
        foreach (Action change in _changes) change();
    }

    // Fills slice after slice with values that come in pieces; those that are not wanted are passed over.
    private sealed class VectorFill(IReadOnlyList<ParameterSlice> slices, HashSet<ParameterSlice> wanted, SliceSink fill)
    {
        private int _slice, _place;

        public void Write(ReadOnlySpan<float> values)
        {
            while (!values.IsEmpty)
            {
                ParameterSlice slice = slices[_slice];
                int some = Math.Min(values.Length, slice.Length - _place);
                if (wanted.Contains(slice)) fill(slice, _place, values[..some]);
                values = values[some..];
                _place += some;
                if (_place == slice.Length) (_slice, _place) = (_slice + 1, 0);
            }
        }
    }
}

/// <summary>Takes values of a slice.</summary>
/// <param name="slice">The slice.</param>
/// <param name="place">Where they begin in it.</param>
/// <param name="values">The values.</param>
internal delegate void SliceSink(ParameterSlice slice, int place, ReadOnlySpan<float> values);
