using System.Globalization;

namespace RbeMl.Training;

/// <summary>Puts the ids of a file together from pieces of its text, whatever the length of its lines.</summary>
internal sealed class TokenLines(string path, int vocabulary)
{
    private const int LongestShown = 20;
    private readonly List<int[]> _sequences = [];
    private readonly List<int> _ids = [];
    private readonly char[] _word = new char[LongestShown + 1];
    private int _length, _line = 1;
    private bool _return;

    /// <summary>The next piece.</summary>
    public void Add(ReadOnlySpan<char> text)
    {
        foreach (char c in text)
        {
            bool second = c == '\n' && _return; // of CR LF
            _return = c == '\r';
            if (c is ' ' or '\t' or ',' or ';') EndWord();
            else if (c is '\n' or '\r')
            {
                if (!second) EndLine();
            }
            else if (_length < _word.Length) _word[_length++] = c;
        }
    }

    /// <summary>All sequences.</summary>
    public List<int[]> End()
    {
        EndLine();
        return _sequences.Count > 0 ? _sequences : throw new RbeFileException(path, "holds no token ids. Write one sequence of whole numbers a line.");
    }

    private void EndLine()
    {
        EndWord();
        if (_ids.Count == 1) throw Bad($"a sequence of one id, {_ids[0]}, predicts nothing. Give at least two a line, or the whole stream on one line.");
        if (_ids.Count > 0) _sequences.Add([.. _ids]);
        _ids.Clear();
        _line++;
    }

    private void EndWord()
    {
        if (_length == 0) return;
        ReadOnlySpan<char> word = _word.AsSpan(0, _length);
        _length = 0;
        if (!int.TryParse(word, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int id))
        {
            throw Bad($"\"{Shorten(word)}\" is no token id. Write whole numbers separated by spaces.");
        }

        if (id < 0 || id >= vocabulary) throw Bad($"token id {id} is outside the vocabulary 0 .. {vocabulary - 1}. Use a larger vocabulary or other ids.");
        _ids.Add(id);
    }

    private TokenException Bad(FormattableString problem) => new(FormattableString.Invariant($"{path}, line {_line}: ") + FormattableString.Invariant(problem));

    private static string Shorten(ReadOnlySpan<char> word) => word.Length <= LongestShown ? word.ToString() : $"{word[..LongestShown]}...";
}
