using System.Text;
using RbeMl.Text;
using RbeMl.Training;

namespace RbeMl.Cli.Finetune;

/// <summary>Texts to train and to validate on, read in pieces: two sources, or the start and the tail of one.</summary>
internal sealed class TrainingText
{
    private readonly TextSource _train, _validation;
    private readonly long _cut = long.MaxValue;
    private readonly StringBuilder _head = new();
    private readonly SortedSet<Rune> _alphabet = [];

    /// <summary>Looks through the texts once: they can be read, are of their encoding and not empty.</summary>
    /// <param name="train">Text to train on.</param>
    /// <param name="validation">Text to validate on; null takes the last tenth of the other.</param>
    /// <param name="head">Characters of the start to keep, to learn a tokenizer from.</param>
    /// <param name="alphabet">Whether all different characters are wanted.</param>
    /// <param name="progress">Told how much is read.</param>
    /// <param name="cancel">Ends the reading.</param>
    /// <exception cref="RbeFileException">A text cannot be read, is not of its encoding, or is empty.</exception>
    /// <exception cref="TokenException">The text is too short for two parts.</exception>
    public TrainingText(TextSource train, TextSource? validation, int head, bool alphabet, IProgress<TextProgress> progress, CancellationToken cancel)
    {
        (_train, _validation) = (train, validation ?? train);
        long characters = Look(train, head, alphabet, progress, cancel);
        if (validation is not null) Look(validation, 0, alphabet, progress, cancel);
        else _cut = TokenDataset.TailStart(characters);
        if (validation is null && FirstOf(Validation(progress, cancel)) is { } first && char.IsLowSurrogate(first)) _cut--;
        if (_cut == 0) throw new TokenException("The text is too short to set a part aside for validation. Give a longer text or a validation file.");
        if (_cut < _head.Length) _head.Length = (int)_cut;
    }

    /// <summary>The start of the text to train on.</summary>
    public string Head => _head.ToString();

    /// <summary>All different characters of both texts.</summary>
    public IReadOnlyList<Rune> Alphabet => [.. _alphabet];

    /// <summary>The text to train on.</summary>
    public IEnumerable<ReadOnlyMemory<char>> Train(IProgress<TextProgress>? progress, CancellationToken cancel) => _train.Part(0, _cut, progress, cancel);

    /// <summary>The text to validate on.</summary>
    public IEnumerable<ReadOnlyMemory<char>> Validation(IProgress<TextProgress>? progress, CancellationToken cancel)
        => ReferenceEquals(_train, _validation) ? _train.Part(_cut, long.MaxValue, progress, cancel) : _validation.Pieces(progress, cancel);

    /// <summary>The lines of the start of the text to validate on.</summary>
    public IEnumerable<string> ValidationLines(int characters)
    {
        StringBuilder start = new();
        foreach (ReadOnlyMemory<char> piece in Validation(null, CancellationToken.None))
        {
            start.Append(piece[..Math.Min(piece.Length, characters - start.Length)]);
            if (start.Length == characters) break;
        }

        return start.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
    }

    private long Look(TextSource text, int head, bool alphabet, IProgress<TextProgress> progress, CancellationToken cancel)
    {
        long characters = 0;
        foreach (ReadOnlyMemory<char> piece in text.Pieces(progress, cancel))
        {
            characters += piece.Length;
            if (_head.Length < head) _head.Append(piece[..Math.Min(piece.Length, head - _head.Length)]);
            if (!alphabet) continue;
            foreach (Rune rune in piece.Span.EnumerateRunes()) _alphabet.Add(rune);
        }

        return characters;
    }

    private static char? FirstOf(IEnumerable<ReadOnlyMemory<char>> pieces)
    {
        foreach (ReadOnlyMemory<char> piece in pieces) return piece.Span[0];
        return null;
    }
}
