using RbeMl.MLNet.Columns;
using RbeMl.Text;

namespace RbeMl.MLNet.Tokens;

/// <summary>What a column of tokens holds.</summary>
public enum TokenValues
{
    /// <summary>Ids from 0 on: <c>VarVector&lt;Int32&gt;</c>.</summary>
    Ids,

    /// <summary>
    /// Keys, whose values are the tokens' texts: <c>VarVector&lt;Key&lt;UInt32, V&gt;&gt;</c>, as ML.NET's text transforms take them. Key k
    /// is id k - 1.
    /// </summary>
    Keys,
}

/// <summary>What <c>ml.Rbe.Tokenize</c> can be told.</summary>
public sealed class TokenizeOptions
{
    /// <summary>The column of tokens that is added.</summary>
    public string OutputColumnName { get; set; } = "Tokens";

    /// <summary>The text column.</summary>
    public string InputColumnName { get; set; } = "Text";

    /// <summary>The tokenizer; bytes of UTF-8 when none is given. <see cref="RbeTokenizers"/> makes one of Microsoft.ML.Tokenizers' or of files.</summary>
    public ITokenizer Tokenizer { get; set; } = new ByteTokenizer();

    /// <summary>Ids or keys.</summary>
    public TokenValues Values { get; set; }

    /// <summary>Tokens beyond so many are cut off; 0 cuts nothing.</summary>
    public int MaxTokens { get; set; }

    internal TokenizeOptions Checked()
    {
        ColumnName.Check(nameof(OutputColumnName), OutputColumnName);
        ColumnName.Check(nameof(InputColumnName), InputColumnName);
        if (Tokenizer is null) throw new InvalidSettingException(nameof(Tokenizer), null, "give a tokenizer.");
        if (!Enum.IsDefined(Values))
        {
            throw new InvalidSettingException(nameof(Values), Values, $"use one of {string.Join(", ", Enum.GetNames<TokenValues>())}.");
        }

        if (MaxTokens < 0) throw new InvalidSettingException(nameof(MaxTokens), MaxTokens, "use 0 to cut nothing, or a positive number.");
        return (TokenizeOptions)MemberwiseClone();
    }
}
