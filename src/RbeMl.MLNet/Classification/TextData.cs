using Microsoft.ML;
using Microsoft.ML.Data;
using RbeMl.MLNet.Columns;
using RbeMl.MLNet.Training;
using RbeMl.Training;

namespace RbeMl.MLNet.Classification;

/// <summary>The data of a training as token ids.</summary>
/// <param name="Vocabulary">Token ids of the model.</param>
/// <param name="Limits">What the model takes.</param>
/// <param name="Examples">To train on.</param>
/// <param name="Validation">To validate on; null when the trainer is to hold some out, or none.</param>
/// <param name="SkippedRows">Rows that were left out.</param>
internal sealed record TextData(int Vocabulary, TokenLimits Limits, IReadOnlyList<ClassifierExample> Examples,
    IReadOnlyList<ClassifierExample>? Validation, int SkippedRows)
{
    /// <summary>Reads training and validation data; learns the tokenizer where the model has none.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A column of the validation data is missing or of another type.</exception>
    /// <exception cref="InvalidOperationException">There is no row to train or validate on, or rows of one class only.</exception>
    public static TextData Read(TextClassificationOptions options, IDataView input, ClassLabels labels, StartingModel start, TrainingLog log)
    {
        DataViewSchema.Column text = Text(input.Schema);
        TokenLimits limits = new(start.Vocabulary ?? int.MaxValue, start.Context, options.KeepEnd, start.Encoder);
        TrainingRows train = Rows(input, "Training");
        TrainingRows? validation = options.Validation is { } view ? Rows(view, "Validation") : null;
        if (text.Type is TextDataViewType && start.Tokenizer is null)
        {
            if (train.Texts.Count == 0) throw NoRows("Training", train);
            start.LearnTokenizer(train.Texts);
            foreach (TrainingRows rows in validation is null ? [train] : (TrainingRows[])[train, validation]) rows.Encode(start.Tokenizer!, limits);
        }

        // A new model for ids knows those of the key's type, or those it is trained on.
        int vocabulary = start.Vocabulary
            ?? (TokenColumn.KeyCount(text.Type) is { } keys and <= int.MaxValue ? (int)keys : NewVocabulary.Of(text.Name, train.Ids));
        TextData data =
            new(vocabulary, limits with { Vocabulary = vocabulary }, train.Examples(vocabulary), validation?.Examples(vocabulary),
                train.Skipped + (validation?.Skipped ?? 0));
        Warn(train, "training");
        if (validation is not null) Warn(validation, "validation");
        if (data.Examples.Count == 0) throw NoRows("Training", train);
        if (validation is not null && data.Validation!.Count == 0) throw NoRows("Validation", validation);
        if (data.Examples.All(e => e.Label == data.Examples[0].Label))
        {
            string only = $"All {data.Examples.Count} training rows have the label '{labels.NameOf(data.Examples[0].Label)}'; a classifier needs two classes.";
            throw new InvalidOperationException($"{only} Look at column '{options.LabelColumnName}', or shuffle before taking a part of the data.");
        }

        return data;

        void Warn(TrainingRows rows, string what)
        {
            if (rows.Skipped > 0)
            {
                string without = $"{rows.WithoutLabel} rows without a label and {rows.WithoutText} without a text";
                log.Warn($"{without}, or with token ids that the model does not know, are left out of the {what}");
            }
        }

        DataViewSchema.Column Text(DataViewSchema schema) => InputColumn.Find(schema, options.TextColumnName, TokenColumn.Fits, TokenColumn.Expected);

        TrainingRows Rows(IDataView rows, string what)
        {
            (DataViewSchema.Column label, ClassLabels own) = ClassLabels.Find(rows.Schema, options.LabelColumnName);
            if (!own.Agree(labels))
            {
                throw new InvalidSettingException(
                    what, $"{own.Count} classes ({own.Describe()})",
                    $"the training data has {labels.Count} ({labels.Describe()}). Map the labels of both with the same transformer.");
            }

            DataViewSchema.Column column = Text(rows.Schema);
            if (column.Type is TextDataViewType != text.Type is TextDataViewType)
            {
                throw new InvalidSettingException(what, column.Type,
                    $"column '{column.Name}' is {text.Type} in the training data. Use the same transformer for both.");
            }

            return TrainingRows.Read(rows, label, labels, column, start.Tokenizer, limits, options.Cancellation);
        }

        InvalidOperationException NoRows(string what, TrainingRows rows) => new(
            $"{what} data has no row to use: {rows.WithoutLabel} without a label, {rows.WithoutText} without a text or with unknown token ids. Look at "
                + $"columns '{options.LabelColumnName}' and '{options.TextColumnName}'.");
    }
}
