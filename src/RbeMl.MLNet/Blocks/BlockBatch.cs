using System.Numerics.Tensors;
using Microsoft.ML;
using Microsoft.ML.Data;
using RbeMl.Layers;
using RbeMl.MLNet.Rows;
using RbeMl.MLNet.Runtime;

namespace RbeMl.MLNet.Blocks;

/// <summary>
/// Rows of activations that go through the block together, padded to the longest. A row that is no [t, D] activations, or holds NaN or infinity, gives
/// NaN of its own length; the others do not notice.
/// </summary>
internal sealed class BlockBatch : RowBatch
{
    private readonly RbeTransformerBlock<float> _block;
    private readonly TransformerBlockTransformer _parent;
    private readonly ValueGetter<VBuffer<float>> _activations;
    private readonly MaskReader? _mask;
    private readonly float[][] _values;
    private readonly byte[][] _masks;
    private readonly int[] _lengths;
    private readonly bool[] _good;
    private VBuffer<float> _buffer;

    public BlockBatch(TransformerBlockTransformer parent, DataViewRow input, IReadOnlyList<DataViewSchema.Column> sources, int rows)
    {
        _parent = parent;
        _block = parent.Block;
        _activations = input.GetGetter<VBuffer<float>>(sources[0]);
        _mask = sources.Count > 1 ? MaskReader.Create(input, sources[1]) : null;
        (_values, _masks, _lengths, _good) = (new float[rows][], new byte[rows][], new int[rows], new bool[rows]);
        Array.Fill(_values, []);
        Array.Fill(_masks, []);
    }

    private int Width => _parent.Config.Width;

    public override void Read(int slot)
    {
        _activations(ref _buffer);
        int length = _buffer.Length;
        if (_values[slot].Length < length) _values[slot] = new float[length];
        Span<float> values = _values[slot].AsSpan(0, length);
        _buffer.CopyTo(values);
        _lengths[slot] = length;
        int tokens = length / Width;
        bool good = length % Width == 0 && tokens <= _parent.Config.MaxSequenceLength && TensorPrimitives.IsFiniteAll<float>(values);
        if (_mask is not null && good) good = _mask.Read(ref _masks[slot], tokens);
        _good[slot] = good;
    }

    public override void Compute(int rows)
    {
        int[] order = [.. Enumerable.Range(0, rows).Where(r => _good[r] && _lengths[r] > 0).OrderBy(r => _lengths[r])];
        using WorkspacePool.Lease lease = _parent.Pool.Rent();
        for (int start = 0, end; start < order.Length; start = end)
        {
            // Rows of nearly the same length go together: at most a quarter is padding.
            end = start + 1;
            while (end < order.Length && _lengths[order[end]] <= _lengths[order[start]] * 5L / 4) end++;
            Run(order.AsSpan(start, end - start), lease.Workspace);
        }

        ForwardCounter.Add(rows);
        for (int slot = 0; slot < rows; slot++)
        {
            if (_good[slot]) continue;
            _values[slot].AsSpan(0, _lengths[slot]).Fill(float.NaN);
            _parent.WarnOfBadRow();
        }
    }

    public override Delegate Getter(int added) => new SlotGetter<VBuffer<float>>((int slot, ref VBuffer<float> value) =>
    {
        VBufferEditor<float> editor = VBufferEditor.Create(ref value, _lengths[slot]);
        _values[slot].AsSpan(0, _lengths[slot]).CopyTo(editor.Values);
        value = editor.Commit();
    });

    private void Run(ReadOnlySpan<int> slots, Workspace<float> workspace)
    {
        int width = Width, tokens = _lengths[slots[^1]] / width;
        float[] x = new float[checked(slots.Length * tokens * width)];
        byte[]? mask = _mask is null && _lengths[slots[0]] == _lengths[slots[^1]] ? null : new byte[checked(slots.Length * tokens)];
        for (int b = 0; b < slots.Length; b++)
        {
            int own = _lengths[slots[b]] / width;
            _values[slots[b]].AsSpan(0, own * width).CopyTo(x.AsSpan(b * tokens * width));
            if (mask is null) continue;
            if (_mask is null) mask.AsSpan(b * tokens, own).Fill(1);
            else _masks[slots[b]].AsSpan(0, own).CopyTo(mask.AsSpan(b * tokens));
        }

        float[] y = _block.Forward(x, slots.Length, tokens, new ForwardOptions<float> { PaddingMask = mask, AllowNonFinite = true }, null, workspace).Output;
        for (int b = 0; b < slots.Length; b++)
        {
            Span<float> row = y.AsSpan(b * tokens * width, _lengths[slots[b]]);
            row.CopyTo(_values[slots[b]]);
            if (!TensorPrimitives.IsFiniteAll<float>(row)) _good[slots[b]] = false; // too large to compute with
        }
    }
}
