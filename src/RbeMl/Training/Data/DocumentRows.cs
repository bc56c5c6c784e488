namespace RbeMl.Training;

/// <summary>
/// Documents laid into rows of at most T + 1 tokens, of which T are inputs and T are targets. The order of the documents is one of the seed;
/// rows without a target are left out.
/// </summary>
internal sealed class DocumentRows
{
    // The epoch of the documents' order, which no epoch of rows has.
    private const uint DocumentOrder = 1u << 30;
    private const int Part = 256;

    private readonly DocumentTokens _documents;
    private readonly bool _predictsFirst; // whether an end token predicts what comes after it
    private readonly List<(long Start, int Length)> _pieces = [];
    private readonly List<int> _rows = [0]; // first piece of each row, and the end of the last

    /// <summary>Lays them out.</summary>
    /// <param name="documents">The documents.</param>
    /// <param name="packing">Whether several share a row.</param>
    /// <param name="context">Tokens of a sequence T.</param>
    /// <param name="seed">Seed of their order; null keeps them in order.</param>
    public DocumentRows(DocumentTokens documents, DocumentPacking packing, int context, ulong? seed)
    {
        (_documents, Context) = (documents, context);
        _predictsFirst = documents.Joined && packing != DocumentPacking.Isolated;
        long[] starts = documents.Starts;
        int room = context + 1, used = 0;
        for (int i = 0; i < documents.Count; i++)
        {
            int document = seed is { } of ? (int)TokenShuffle.Permute(of, DocumentOrder, i, documents.Count) : i;
            long start = starts[document], end = starts[document + 1];
            bool whole = documents.Learnt is not null || packing != DocumentPacking.Packed;
            if (used > 0 && (packing == DocumentPacking.Separate || used == room || (whole && end - start > room - used))) EndRow(ref used);
            if (documents.Learnt is not null) start = Begin(start, end, context);
            while (true)
            {
                int some = (int)Math.Min(room - used, end - start);
                _pieces.Add((start, some));
                used += some;
                if (start + some == end) break;
                EndRow(ref used);
                start += some - 1; // what was a target last is the first input
            }
        }

        EndRow(ref used);
    }

    /// <summary>Tokens of a sequence that they are laid out for.</summary>
    public int Context { get; }

    /// <summary>Rows.</summary>
    public long Count => _rows.Count - 1;

    /// <summary>Writes a row.</summary>
    /// <param name="row">Its number.</param>
    /// <param name="inputs">[T] ids, 0 where there are none.</param>
    /// <param name="targets">[T] ids to predict; -1 where nothing is to be predicted.</param>
    public void Fill(long row, Span<int> inputs, Span<int> targets)
    {
        Span<int> ids = stackalloc int[Part], learnt = stackalloc int[Part];
        int place = 0;
        for (int piece = _rows[(int)row]; piece < _rows[(int)row + 1]; piece++)
        {
            (long start, int length) = _pieces[piece];
            for (int done = 0; done < length; done += Part)
            {
                int some = Math.Min(Part, length - done);
                _documents.Ids.CopyTo(start + done, ids[..some]);
                if (_documents.Learnt is { } marks) marks.CopyTo(start + done, learnt[..some]);
                else learnt[..some].Fill(1);
                if (done == 0 && place > 0 && !_predictsFirst) learnt[0] = 0; // nothing says that a document begins
                for (int i = 0; i < some; i++, place++)
                {
                    if (place < inputs.Length) inputs[place] = ids[i];
                    if (place > 0) targets[place - 1] = learnt[i] == 1 ? ids[i] : -1;
                }
            }
        }

        if (place < inputs.Length) inputs[place..].Clear();
        targets[(place - 1)..].Fill(-1);
    }

    /// <summary>Writes the places of a row's tokens in their documents; what is padded goes on with the last.</summary>
    /// <param name="row">Its number.</param>
    /// <param name="positions">[T], from 0 with each document, and at the start of the row.</param>
    public void FillPositions(long row, Span<int> positions)
    {
        int place = 0;
        for (int piece = _rows[(int)row]; piece < _rows[(int)row + 1]; piece++)
        {
            int last = piece + 1 == _rows[(int)row + 1] ? positions.Length : place + _pieces[piece].Length;
            for (int i = 0; place < Math.Min(last, positions.Length); i++) positions[place++] = i;
        }
    }

    // A document that fits no row begins so late that what is learnt first sees half a row before it, or all that fits with all that is learnt.
    private long Begin(long start, long end, int context)
    {
        if (end - start <= context + 1) return start;
        long first = start + 1;
        while (_documents.Learnt![first] == 0) first++;
        return Math.Max(start, Math.Min(first - Math.Max(1, context / 2), end - (context + 1)));
    }

    private void EndRow(ref int used)
    {
        used = 0;
        if (_pieces.Count == _rows[^1]) return;
        if (HasTargets()) _rows.Add(_pieces.Count);
        else _pieces.RemoveRange(_rows[^1], _pieces.Count - _rows[^1]);
    }

    private bool HasTargets()
    {
        for (int piece = _rows[^1]; piece < _pieces.Count; piece++)
        {
            (long start, int length) = _pieces[piece];
            int first = piece == _rows[^1] || !_predictsFirst ? 1 : 0;
            if (_documents.Learnt is null && length > first) return true;
            for (int i = first; _documents.Learnt is { } marks && i < length; i++)
            {
                if (marks[start + i] == 1) return true;
            }
        }

        return false;
    }
}
