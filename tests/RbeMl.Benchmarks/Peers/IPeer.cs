namespace RbeMl.Benchmarks.Peers;

/// <summary>A language model of some library, with what it has read so far.</summary>
internal interface IPeer : IDisposable
{
    /// <summary>Forgets all but the first tokens.</summary>
    void Rewind(int length);

    /// <summary>Reads tokens behind the first ones.</summary>
    /// <param name="tokens">Ids.</param>
    /// <param name="past">Tokens read before.</param>
    /// <returns>Logits of the last token, [V], valid until the next call.</returns>
    ReadOnlySpan<float> Read(ReadOnlySpan<int> tokens, int past);
}
