using System.IO.Hashing;
using System.Runtime.InteropServices;

namespace RbeMl.Training;

/// <summary>What a training reads, in words that differ where the data does.</summary>
internal static class DataChecksum
{
    /// <summary>Describes a source: of a data set all tokens and their order, of another source its first batch.</summary>
    /// <param name="source">The source.</param>
    /// <param name="batch">Sequences B.</param>
    /// <param name="context">Tokens of a sequence T.</param>
    public static string Of(ITokenSource source, int batch, int context)
    {
        XxHash128 hash = new();
        if (source is TokenDataset data)
        {
            data.AddTo(hash);
            return FormattableString.Invariant($"{Amount.Of(data.Tokens, "token")}, checksum ") + Convert.ToHexStringLower(hash.GetCurrentHash());
        }

        int[] inputs = new int[checked(batch * context)], targets = new int[inputs.Length];
        source.Fill(0, batch, context, inputs, targets);
        Add(hash, inputs);
        Add(hash, targets);
        if (source.IsolatesDocuments)
        {
            source.FillPositions(0, batch, context, inputs);
            Add(hash, inputs);
        }

        return FormattableString.Invariant($"a first batch of checksum ") + Convert.ToHexStringLower(hash.GetCurrentHash());
    }

    /// <summary>Describes sequences, each with numbers of its own.</summary>
    /// <param name="what">What one is called.</param>
    /// <param name="sequences">Their ids, and the numbers of each.</param>
    public static string Of(string what, IReadOnlyCollection<(int[] Tokens, int Number)> sequences)
    {
        XxHash128 hash = new();
        foreach ((int[] tokens, int number) in sequences)
        {
            Add(hash, [tokens.Length, number]);
            Add(hash, tokens);
        }

        return $"{Amount.Of(sequences.Count, what)}, checksum " + Convert.ToHexStringLower(hash.GetCurrentHash());
    }

    /// <summary>Adds token ids.</summary>
    public static void Add(XxHash128 hash, ReadOnlySpan<int> ids) => hash.Append(MemoryMarshal.AsBytes(ids));
}
