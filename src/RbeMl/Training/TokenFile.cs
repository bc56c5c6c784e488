using System.Globalization;

namespace RbeMl.Training;

/// <summary>Reads files of texts and token ids.</summary>
public static class TokenFile
{
    private static readonly char[] Separators = [' ', '\t', ',', ';'];

    /// <summary>Reads ids: a line is a sequence, empty lines are skipped, numbers are separated by spaces, tabs, commas or semicolons.</summary>
    /// <param name="path">The file.</param>
    /// <param name="vocabulary">Number of ids; null takes any from 0 up.</param>
    /// <exception cref="RbeFileException">The file cannot be read or holds no ids.</exception>
    /// <exception cref="TokenException">A number is malformed or outside the vocabulary; the message names line and id.</exception>
    public static List<int[]> ReadSequences(string path, int? vocabulary)
    {
        List<int[]> sequences = [];
        List<int> ids = [];
        int number = 0;
        foreach (string line in Guard(path, () => File.ReadAllLines(path)))
        {
            number++;
            ids.Clear();
            foreach (Range part in line.AsSpan().SplitAny(Separators))
            {
                ReadOnlySpan<char> word = line.AsSpan(part);
                if (word.IsEmpty) continue;
                if (!int.TryParse(word, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int id)) throw new TokenException($"{path}, line {number}: \"{Shorten(word)}\" is no token id. Write whole numbers separated by spaces.");
                if (id < 0 || id >= (vocabulary ?? int.MaxValue)) throw new TokenException($"{path}, line {number}: token id {id} is outside the vocabulary 0 .. {(vocabulary ?? int.MaxValue) - 1}. Use a larger vocabulary or other ids.");
                ids.Add(id);
            }

            if (ids.Count == 1) throw new TokenException($"{path}, line {number}: a sequence of one id, {ids[0]}, predicts nothing. Give at least two a line, or the whole stream on one line.");
            if (ids.Count > 0) sequences.Add([.. ids]);
        }

        return sequences.Count > 0 ? sequences : throw new RbeFileException(path, "holds no token ids. Write one sequence of whole numbers a line.");
    }

    /// <summary>A data set of a file of ids: a single line is a stream, several are sequences.</summary>
    /// <param name="path">The file.</param>
    /// <param name="vocabulary">Number of ids.</param>
    /// <param name="seed">Seed of the order.</param>
    public static TokenDataset Read(string path, int vocabulary, ulong seed)
    {
        List<int[]> sequences = ReadSequences(path, vocabulary);
        return sequences.Count == 1 ? TokenDataset.FromStream(sequences[0], vocabulary, seed) : TokenDataset.FromSequences(sequences, vocabulary, seed);
    }

    /// <summary>Reads one or several text files, UTF-8, joined by line breaks.</summary>
    /// <param name="paths">The files.</param>
    /// <exception cref="RbeFileException">A file cannot be read, or all are empty.</exception>
    public static string ReadText(IReadOnlyList<string> paths)
    {
        ArgumentNullException.ThrowIfNull(paths);
        string text = string.Join('\n', paths.Select(path => Guard(path, () => File.ReadAllText(path))));
        return text.AsSpan().Trim().Length > 0 ? text : throw new RbeFileException(string.Join(", ", paths), "is empty. Give a text to learn from.");
    }

    private static T Guard<T>(string path, Func<T> read)
    {
        try
        {
            return read();
        }
        catch (Exception error) when (error is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new RbeFileException(path, "no such file. Check the name.", error);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            throw new RbeFileException(path, $"cannot be read ({(Directory.Exists(path) ? "it is a folder" : error.Message.TrimEnd('.'))}). Give a readable file.", error);
        }
    }

    private static string Shorten(ReadOnlySpan<char> word) => word.Length <= 20 ? word.ToString() : $"{word[..20]}...";
}
