using System.Runtime.InteropServices;
using Microsoft.ML.Data;
using RbeMl.Layers;
using RbeMl.MLNet.Columns;
using RbeMl.MLNet.Rows;
using RbeMl.MLNet.Runtime;

namespace RbeMl.MLNet.Classification;

/// <summary>Rows that are scored together. Scores of a row are the same whatever other rows are there.</summary>
internal sealed class ClassificationBatch : RowBatch
{
    private readonly TextClassificationTransformer _parent;
    private readonly TokenReader _reader;
    private readonly int _classes;
    private readonly List<int> _tokens = [];
    private readonly int[] _lengths;
    private readonly int[] _present;
    private readonly float[] _room;
    private readonly float[] _scores;

    public ClassificationBatch(TextClassificationTransformer parent, TokenReader reader, int rows)
    {
        (_parent, _reader, _classes) = (parent, reader, parent.Labels.Count);
        (_lengths, _present) = (new int[rows], new int[rows]);
        (_room, _scores) = (new float[checked(rows * _classes)], new float[checked(rows * _classes)]);
    }

    public override void Read(int slot)
    {
        if (slot == 0) _tokens.Clear();
        ReadOnlySpan<int> ids = _reader.Read();
        _lengths[slot] = ids.Length;
        _tokens.AddRange(ids);
    }

    public override void Compute(int rows)
    {
        int present = 0;
        for (int slot = 0; slot < rows; slot++)
        {
            if (_lengths[slot] == 0) continue;
            _lengths[present] = _lengths[slot];
            _present[present++] = slot;
        }

        Span<float> room = _room.AsSpan(0, present * _classes), scores = _scores.AsSpan(0, rows * _classes);
        if (present > 0)
        {
            using WorkspacePool.Lease lease = _parent.Pool.Rent();
            ReadOnlySpan<int> tokens = CollectionsMarshal.AsSpan(_tokens), lengths = _lengths.AsSpan(0, present);
            if (_parent.Labels.IsBinary) _parent.Classifier.Scores(tokens, lengths, lease.Workspace, room);
            else _parent.Classifier.Probabilities(tokens, lengths, lease.Workspace, room);
        }

        ForwardCounter.Add(rows);
        scores.Fill(float.NaN);
        for (int i = 0; i < present; i++) room.Slice(i * _classes, _classes).CopyTo(scores[(_present[i] * _classes)..]);
        if (present < rows) _parent.WarnOfMissingRow();
    }

    public override Delegate Getter(int added)
    {
        if (_parent.Labels.IsBinary)
        {
            return added switch
            {
                0 => new SlotGetter<bool>((int slot, ref bool value) => value = Odds(slot) > 0),
                1 => new SlotGetter<float>((int slot, ref float value) => value = Odds(slot)),
                _ => new SlotGetter<float>((int slot, ref float value) => value = (float)(1 / (1 + Math.Exp(-Odds(slot))))),
            };
        }

        return added == 0
            ? new SlotGetter<uint>((int slot, ref uint value) => value = Likeliest(slot))
            : new SlotGetter<VBuffer<float>>((int slot, ref VBuffer<float> value) =>
            {
                VBufferEditor<float> editor = VBufferEditor.Create(ref value, _classes);
                Row(slot).CopyTo(editor.Values);
                value = editor.Commit();
            });
    }

    private ReadOnlySpan<float> Row(int slot) => _scores.AsSpan(slot * _classes, _classes);

    private float Odds(int slot) => Row(slot)[1] - Row(slot)[0];

    // Its key; 0, the missing key, for a missing row.
    private uint Likeliest(int slot)
    {
        ReadOnlySpan<float> row = Row(slot);
        if (float.IsNaN(row[0])) return 0;
        int best = 0;
        for (int c = 1; c < row.Length; c++)
        {
            if (row[c] > row[best]) best = c;
        }

        return (uint)best + 1;
    }
}
