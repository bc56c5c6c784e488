using RbeMl.Text;

namespace RbeMl.Training;

/// <summary>Reads files of token ids.</summary>
public static class TokenFile
{
    /// <summary>Reads ids: a line is a sequence, empty lines are skipped, numbers are separated by spaces, tabs, commas or semicolons.</summary>
    /// <param name="path">The file.</param>
    /// <param name="vocabulary">Number of ids; null takes any from 0 up.</param>
    /// <param name="options">How its bytes are read; null for strict UTF-8.</param>
    /// <exception cref="RbeFileException">The file cannot be read, is no text, or holds no ids.</exception>
    /// <exception cref="TokenException">A number is malformed or outside the vocabulary; the message names line and id.</exception>
    public static List<int[]> ReadSequences(string path, int? vocabulary, TextOptions? options = null)
    {
        using TextFileReader reader = TextFile.Open(path, options);
        TokenLines lines = new(path, vocabulary ?? int.MaxValue);
        for (ReadOnlyMemory<char> piece = reader.ReadPiece(); !piece.IsEmpty; piece = reader.ReadPiece()) lines.Add(piece.Span);
        return lines.End();
    }

    /// <summary>A data set of a file of ids: a single line is a stream, several are sequences.</summary>
    /// <param name="path">The file.</param>
    /// <param name="vocabulary">Number of ids.</param>
    /// <param name="seed">Seed of the order.</param>
    /// <param name="options">How its bytes are read; null for strict UTF-8.</param>
    public static TokenDataset Read(string path, int vocabulary, ulong seed, TextOptions? options = null)
    {
        List<int[]> sequences = ReadSequences(path, vocabulary, options);
        return sequences.Count == 1 ? TokenDataset.FromStream(sequences[0], vocabulary, seed) : TokenDataset.FromSequences(sequences, vocabulary, seed);
    }
}
