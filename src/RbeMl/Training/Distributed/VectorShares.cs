namespace RbeMl.Training;

/// <summary>
/// How a vector of what is trained is divided among ranks: in parts of some megabytes, of each of which every rank has a slice, so that a
/// part can be sent and received in place. Evenly, or at borders of pieces, where no sum over a piece is torn apart.
/// </summary>
internal sealed class VectorShares
{
    private const int Most = 1 << 20, Line = 16; // elements of a part, and what even slices are multiples of
    private readonly List<(long First, int[] Borders)> _parts = []; // borders count from the part's first element
    private readonly List<int[]> _pieces = []; // of a part: the first piece of each rank, and the end

    private VectorShares(int size) => Size = size;

    /// <summary>Ranks.</summary>
    public int Size { get; }

    /// <summary>Parts.</summary>
    public int Parts => _parts.Count;

    /// <summary>Divides a vector evenly.</summary>
    /// <param name="length">Its elements.</param>
    /// <param name="size">Ranks.</param>
    public static VectorShares Even(long length, int size)
    {
        VectorShares shares = new(size);
        for (long first = 0; first < length; first += Most)
        {
            int count = (int)Math.Min(Most, length - first), slice = ((count + size - 1) / size + Line - 1) / Line * Line;
            shares._parts.Add((first, [.. Enumerable.Range(0, size + 1).Select(rank => (int)Math.Min((long)rank * slice, count))]));
        }

        return shares;
    }

    /// <summary>Divides a vector at borders of pieces: of all parts together each rank has as much as another, up to what stays together.</summary>
    /// <param name="starts">Where each piece begins, and where the last ends.</param>
    /// <param name="joined">Whether a piece stays with the one before.</param>
    /// <param name="size">Ranks.</param>
    public static VectorShares OnPieces(long[] starts, Func<int, bool> joined, int size)
    {
        VectorShares shares = new(size);
        long[] owned = new long[size]; // of the ranks up to one, in the parts so far
        int[] cuts = [.. Enumerable.Range(0, starts.Length).Where(piece => piece == starts.Length - 1 || !joined(piece))];
        for (int from = 0, to; from < cuts.Length - 1; from = to)
        {
            to = from + 1;
            while (to + 1 < cuts.Length && starts[cuts[to + 1]] - starts[cuts[from]] <= Most) to++;
            long first = starts[cuts[from]], end = starts[cuts[to]];
            (int[] borders, int[] pieces) = (new int[size + 1], new int[size + 1]);
            (borders[size], pieces[0], pieces[size]) = (checked((int)(end - first)), cuts[from], cuts[to]);
            for (int rank = 1, cut = from; rank < size; rank++)
            {
                long wanted = first + (end * rank / size) - owned[rank - 1];
                while (cut < to && Math.Abs(starts[cuts[cut + 1]] - wanted) <= Math.Abs(starts[cuts[cut]] - wanted)) cut++;
                (borders[rank], pieces[rank]) = ((int)(starts[cuts[cut]] - first), cuts[cut]);
                owned[rank - 1] += borders[rank];
            }

            shares._parts.Add((first, borders));
            shares._pieces.Add(pieces);
        }

        return shares;
    }

    /// <summary>Where a part begins, and its elements.</summary>
    public (long First, int Count) Part(int part) => (_parts[part].First, _parts[part].Borders[^1]);

    /// <summary>A rank's slice of a part: where it begins in the part, and its elements.</summary>
    public (int First, int Count) Slice(int part, int rank)
    {
        int[] borders = _parts[part].Borders;
        return (borders[rank], borders[rank + 1] - borders[rank]);
    }

    /// <summary>The pieces of a rank's slice of a part; of a vector divided on pieces.</summary>
    public (int First, int Last) PiecesOf(int part, int rank) => (_pieces[part][rank], _pieces[part][rank + 1]);

    /// <summary>The most elements of a slice of any rank.</summary>
    public int MostOfSlice
    {
        get
        {
            int most = 0;
            foreach ((_, int[] borders) in _parts)
            {
                for (int rank = 0; rank < Size; rank++) most = Math.Max(most, borders[rank + 1] - borders[rank]);
            }

            return most;
        }
    }

    /// <summary>Elements of the vector.</summary>
    public long Length => _parts.Count == 0 ? 0 : _parts[^1].First + _parts[^1].Borders[^1];

    /// <summary>The most elements of a part.</summary>
    public int MostOfPart => _parts.Count == 0 ? 0 : _parts.Max(part => part.Borders[^1]);
}
