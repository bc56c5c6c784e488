using RbeMl.Memory;

namespace RbeMl.Layers;

/// <summary>
/// Where documents lie in the rows of a call: attention is worked on document by document, so that none sees another. Memory is kept from call to call.
/// </summary>
internal sealed unsafe class RowDocuments : IDisposable
{
    private readonly GrowableBuffer<int> _starts = new();

    /// <summary>Documents of all rows.</summary>
    public int Count { get; private set; }

    /// <summary>Tokens of the longest.</summary>
    public int Longest { get; private set; }

    /// <summary>Bytes of native memory held.</summary>
    public long AllocatedBytes => _starts.AllocatedBytes;

    /// <summary>First token of a document, counted over all rows, and its tokens.</summary>
    public (int First, int Tokens) this[int document] => (_starts.Pointer[document], _starts.Pointer[document + 1] - _starts.Pointer[document]);

    /// <summary>Takes the documents of checked positions.</summary>
    /// <param name="positions">Place of each token in its document, 0 where one begins.</param>
    public void Fill(ReadOnlySpan<int> positions)
    {
        int* starts = _starts.Ensure(Elements(positions.Length));
        (Count, Longest) = (0, 0);
        for (int t = 0; t < positions.Length; t++)
        {
            if (positions[t] == 0) starts[Count++] = t;
            Longest = Math.Max(Longest, positions[t] + 1);
        }

        starts[Count] = positions.Length;
    }

    /// <summary>Elements of as many documents as there are tokens.</summary>
    public static long Elements(long tokens) => tokens + 1;

    /// <inheritdoc/>
    public void Dispose() => _starts.Dispose();
}
