using System.Text;
using RbeMl.Text;
using RbeMl.Training;

namespace RbeMl.Cli.Data;

/// <summary>Documents to train and to validate on: of two sources, or those of one with a tenth of them, chosen by the seed, held out.</summary>
internal sealed class TrainingDocuments
{
    // The epoch of the choice, which no order of documents or rows has.
    private const uint HeldOut = 1u << 29;
    private const double HeldShare = 0.1;
    private readonly DocumentFiles _train;
    private readonly DocumentFiles? _validation;
    private readonly ulong _seed;
    private readonly CancellationToken _cancel;
    private readonly SortedSet<Rune> _alphabet = [];

    /// <summary>Reads through the documents once: all of them are sound.</summary>
    /// <param name="train">Documents to train on.</param>
    /// <param name="validation">Documents to validate on; null holds a tenth of the others out.</param>
    /// <param name="seed">Seed of the choice.</param>
    /// <param name="alphabet">Whether all different characters are wanted.</param>
    /// <param name="progress">Told how much is read.</param>
    /// <param name="cancel">Ends the reading.</param>
    /// <exception cref="RbeFileException">A file cannot be read, or a row is no document.</exception>
    /// <exception cref="TokenException">There is one document, of which none can be held out.</exception>
    public TrainingDocuments(DocumentFiles train, DocumentFiles? validation, ulong seed, bool alphabet, IProgress<TextProgress> progress,
        CancellationToken cancel)
    {
        (_train, _validation, _seed, _cancel) = (train, validation, seed, cancel);
        Count = Look(train);
        Held = validation is null ? Math.Clamp((int)Math.Round(Count * HeldShare), 1, Math.Max(1, Count - 1)) : Look(validation);
        if (validation is null && Count == 1)
        {
            throw new TokenException($"{train.Paths[0]} holds one document, and one more is needed to hold out for validation. Give more, or a "
                + "--validation file.");
        }

        int Look(DocumentFiles files)
        {
            int count = 0;
            foreach (DataDocument document in files.Read(progress, cancel))
            {
                count++;
                foreach (ReadOnlyMemory<char> piece in document.Pieces)
                {
                    if (!alphabet) continue;
                    foreach (Rune rune in piece.Span.EnumerateRunes()) _alphabet.Add(rune);
                }

                foreach (Rune rune in DocumentEncoder.Signs(document).EnumerateRunes()) _alphabet.Add(rune);
            }

            return count;
        }
    }

    /// <summary>All documents of the source to train on.</summary>
    public int Count { get; }

    /// <summary>Documents to validate on.</summary>
    public int Held { get; }

    /// <summary>All different characters of both sources.</summary>
    public IReadOnlyList<Rune> Alphabet => [.. _alphabet];

    /// <summary>Documents to train on.</summary>
    public IEnumerable<DataDocument> Train(IProgress<TextProgress>? progress) =>
        _validation is null ? Part(held: false, progress) : _train.Read(progress, _cancel);

    /// <summary>Documents to validate on.</summary>
    public IEnumerable<DataDocument> Validation(IProgress<TextProgress>? progress) =>
        _validation is null ? Part(held: true, progress) : _validation.Read(progress, _cancel);

    /// <summary>The beginning of what is trained on, to learn a tokenizer from.</summary>
    public string Head(int characters)
    {
        StringBuilder head = new();
        foreach (DataDocument document in Train(null))
        {
            foreach (ReadOnlyMemory<char> piece in document.Pieces)
            {
                head.Append(piece[..Math.Min(piece.Length, characters - head.Length)]);
                if (head.Length >= characters) break;
            }

            if (head.Length >= characters) break;
            head.Append('\n');
        }

        return head.ToString();
    }

    private IEnumerable<DataDocument> Part(bool held, IProgress<TextProgress>? progress)
    {
        int place = 0;
        foreach (DataDocument document in _train.Read(progress, _cancel))
        {
            if (TokenShuffle.Permute(_seed, HeldOut, place++, Count) < Held == held) yield return document;
        }
    }
}
