using System.Runtime.InteropServices;
using RbeMl.Layers;
using RbeMl.MLNet.Columns;
using RbeMl.MLNet.Rows;
using RbeMl.MLNet.Runtime;

namespace RbeMl.MLNet.LanguageModels;

/// <summary>
/// Rows whose perplexities are computed together when the first of them is read, and whose texts are continued one by one as they are read. Both are the
/// same whatever other rows are there.
/// </summary>
internal sealed class LanguageModelBatch : RowBatch
{
    private readonly LanguageModelTransformer _parent;
    private readonly TokenReader _reader;
    private readonly List<int> _tokens = [];
    private readonly int[] _starts, _lengths;
    private readonly double[] _losses;
    private readonly string?[] _texts;
    private readonly bool[] _counted;
    private int _rows;
    private bool _scored;

    public LanguageModelBatch(LanguageModelTransformer parent, TokenReader reader, int rows)
    {
        (_parent, _reader) = (parent, reader);
        (_starts, _lengths, _losses, _texts, _counted) = (new int[rows], new int[rows], new double[rows], new string?[rows], new bool[rows]);
    }

    public override void Read(int slot)
    {
        if (slot == 0) _tokens.Clear();
        ReadOnlySpan<int> ids = _reader.Read();
        (_starts[slot], _lengths[slot]) = (_tokens.Count, ids.Length);
        _tokens.AddRange(ids);
    }

    public override void Compute(int rows)
    {
        (_rows, _scored) = (rows, false);
        Array.Clear(_texts);
        Array.Clear(_counted);
    }

    public override Delegate Getter(int added) => added == 0 && _parent.Settings.Perplexity is not null
        ? new SlotGetter<float>((int slot, ref float value) => value = Perplexity(slot))
        : new SlotGetter<ReadOnlyMemory<char>>((int slot, ref ReadOnlyMemory<char> value) => value = (_texts[slot] ??= Continue(slot)).AsMemory());

    private ReadOnlySpan<int> Ids(int slot) => CollectionsMarshal.AsSpan(_tokens).Slice(_starts[slot], _lengths[slot]);

    private float Perplexity(int slot)
    {
        if (!_scored)
        {
            using WorkspacePool.Lease lease = _parent.Pool.Rent();
            Span<double> losses = _losses.AsSpan(0, _rows);
            if (!Score(CollectionsMarshal.AsSpan(_tokens), _lengths.AsSpan(0, _rows), losses, lease))
            {
                // A row that the model cannot compute with must not take the others along.
                for (int i = 0; i < _rows; i++)
                {
                    if (!Score(Ids(i), _lengths.AsSpan(i, 1), losses.Slice(i, 1), lease)) losses[i] = double.NaN;
                }
            }

            for (int i = 0; i < _rows; i++) Count(i);
            if (losses.Contains(double.NaN)) _parent.WarnOfMissingRow();
            _scored = true;
        }

        return (float)Math.Exp(_losses[slot]);
    }

    private bool Score(ReadOnlySpan<int> tokens, ReadOnlySpan<int> lengths, Span<double> losses, WorkspacePool.Lease lease)
    {
        try
        {
            WindowLosses.Measure(_parent.Model, lease.Workspace, _parent.Settings.Context, tokens, lengths, losses);
            return true;
        }
        catch (NonFiniteException)
        {
            return false;
        }
    }

    private string Continue(int slot)
    {
        if (_lengths[slot] == 0) return "";
        Count(slot);
        ForwardCounter.AddGenerated();
        try
        {
            return _parent.Generators.Continue(Ids(slot).ToArray(), _parent.Settings.Generation, _parent.Tokenizer!);
        }
        catch (NonFiniteException)
        {
            return "";
        }
    }

    // A row counts once, whichever output asks for it first.
    private void Count(int slot)
    {
        if (_counted[slot]) return;
        _counted[slot] = true;
        ForwardCounter.Add(1);
    }
}
